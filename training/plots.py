"""Pictures of how scores compare with votes, and of how far their error bars hold."""

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree
from training.coverage import INTERVALS, WEIGHT
from training.metrics import Votes, rmse_by_question

_ACROSS = 4
_BINS = 10


def plot_scores(tree: DecisionTree, scores: Votes, votes: Votes, path: Path) -> None:
    """Draw predicted against true scores, one panel a question, as PNG or SVG by the file's ending."""
    colours = mpl.colormaps["tab10"]
    figure, panels = _panels(tree)
    errors = rmse_by_question(tree, scores, votes)
    for question, panel in zip(tree.questions, panels, strict=False):
        for number, answer in enumerate(question.answers):
            column = tree.index[answer.id]
            panel.scatter(
                votes[:, column], scores[:, column], s=3, alpha=0.35, lw=0, color=colours(number), label=answer.label
            )
        panel.plot([0, 1], [0, 1], color="0.3", lw=0.8)
        panel.set_title(f"{question.id}: RMSE {errors[question.id]:.3f}", fontsize=10)
        panel.legend(fontsize=7, markerscale=3, loc="upper left", frameon=False)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    figure.supxlabel("volunteers' votes")
    figure.supylabel("scores")
    _save(figure, panels[len(tree.questions) :], path)


def plot_reliability(tree: DecisionTree, scores: Votes, halves: tuple[Votes, Votes], votes: Votes, path: Path) -> None:
    """Draw what part of the votes lies within intervals of other widths than the two that are given, too.

    One panel a question, over galaxies that give it a weight over `training.coverage.WEIGHT`. Between and beyond the
    two given half widths, marked by dots, others are reached as on a normal distribution. A second line has, in bins of
    the narrow half width, the distance from the score within which as many votes lie as are promised.

    Parameters
    ----------
    tree : DecisionTree
    scores, votes : float32, shape [N, columns]
    halves : tuple of float32, shape [N, columns]
        Half the widths of the intervals in `training.coverage.INTERVALS`.
    path : Path
    """
    figure, panels = _panels(tree)
    apart, weights = np.abs(votes.astype(np.float64) - scores), tree.weights(scores)
    (_, narrow), (_, wide) = INTERVALS
    widths = np.linspace(0, 3, 61)
    promised = [_within(width) for width in widths]
    for number, (question, panel) in enumerate(zip(tree.questions, panels, strict=False)):
        own = tree.slices[question.id]
        chosen = ~np.isnan(votes[:, own]) & (weights[:, number] > WEIGHT)[:, None]
        panel.plot([0, 1], [0, 1], color="0.6", lw=0.8)
        if chosen.any():
            distances = apart[:, own][chosen]
            small, large = (each[:, own][chosen] for each in halves)
            half = [np.interp(width, (0, narrow, wide), (0, 1, 2)) for width in widths]
            found = [
                (distances <= (small * part if part <= 1 else small + (large - small) * (part - 1))).mean()
                if width <= wide
                else (distances <= large * width / wide).mean()
                for part, width in zip(half, widths, strict=True)
            ]
            panel.plot(promised, found, label="votes in the interval")
            for (part, _), given in zip(INTERVALS, (small, large), strict=True):
                panel.plot(part, (distances <= given).mean(), "o", ms=4, color="black")
            bars, errors = _binned(small, distances)
            panel.plot(3 * bars, 3 * errors, "s--", ms=3, lw=0.8, label="3 x distance of 68 %, by 3 x uncertainty")
        panel.set_title(question.id, fontsize=10)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    panels[0].legend(fontsize=7, loc="upper left", frameon=False)
    figure.supxlabel("promised")
    figure.supylabel("found")
    _save(figure, panels[len(tree.questions) :], path)


def _within(width: float) -> float:
    """Return the part of a normal distribution within so many standard deviations."""
    return math.erf(width / math.sqrt(2))


def _binned(half: Votes, distances: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean half widths, and the distance that as many votes are within as are promised, by bins of them."""
    parts = np.array_split(np.argsort(half), min(_BINS, len(half)))
    (part, _), _ = INTERVALS
    found = [(half[chosen].mean(), np.quantile(distances[chosen], part)) for chosen in parts]
    halves, reached = np.array(found, np.float64).T
    return halves, reached


def _panels(tree: DecisionTree) -> tuple[Figure, list[Axes]]:
    down = -(-len(tree.questions) // _ACROSS)
    figure = Figure(figsize=(3.4 * _ACROSS, 3.5 * down), layout="constrained")
    return figure, list(figure.subplots(down, _ACROSS, sharex=True, sharey=True, squeeze=False).flat)


def _save(figure: Figure, unused: list[Axes], path: Path) -> None:
    for panel in unused:
        panel.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
