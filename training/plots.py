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


def plot_reliability(tree: DecisionTree, scores: Votes, uncertainty: Votes, votes: Votes, path: Path) -> None:
    """Draw what part of the votes lies within so many standard errors, against what a normal distribution promises.

    One panel a question, over the galaxies that give it a weight over `training.coverage.WEIGHT`; a second line shows
    the root mean square of the residuals in bins of the standard error that was promised.
    """
    figure, panels = _panels(tree)
    apart = (votes.astype(np.float64) - scores) / uncertainty
    weights = tree.weights(scores)
    widths = np.linspace(0, 3, 61)
    promised = np.array([_within(width) for width in widths])
    for number, (question, panel) in enumerate(zip(tree.questions, panels, strict=False)):
        own = tree.slices[question.id]
        chosen = ~np.isnan(votes[:, own]) & (weights[:, number] > WEIGHT)[:, None]
        panel.plot([0, 1], [0, 1], color="0.6", lw=0.8)
        if chosen.any():
            distances = np.abs(apart[:, own][chosen])
            panel.plot(promised, [(distances <= width).mean() for width in widths], label="votes in the interval")
            for part, width, _ in INTERVALS:
                panel.plot(part, (distances <= width).mean(), "o", ms=4, color="black")
            bars, errors = _binned(uncertainty[:, own][chosen], (votes - scores)[:, own][chosen])
            panel.plot(3 * bars, 3 * errors, "s--", ms=3, lw=0.8, label="3 x residual, by 3 x standard error")
        panel.set_title(question.id, fontsize=10)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    panels[0].legend(fontsize=7, loc="upper left", frameon=False)
    figure.supxlabel("promised")
    figure.supylabel("found")
    _save(figure, panels[len(tree.questions) :], path)


def _within(width: float) -> float:
    """Return the part of a normal distribution within so many standard deviations."""
    return math.erf(width / math.sqrt(2))


def _binned(promised: Votes, residuals: Votes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return root mean squares of what is promised and of the residuals in bins of equal numbers."""
    parts = np.array_split(np.argsort(promised), min(_BINS, len(promised)))
    mean = [(np.square(promised[part]).mean(), np.square(residuals[part]).mean()) for part in parts]
    bars, errors = np.sqrt(np.array(mean, np.float64)).T
    return bars, errors


def _panels(tree: DecisionTree) -> tuple[Figure, list[Axes]]:
    down = -(-len(tree.questions) // _ACROSS)
    figure = Figure(figsize=(3.4 * _ACROSS, 3.5 * down), layout="constrained")
    return figure, list(figure.subplots(down, _ACROSS, sharex=True, sharey=True, squeeze=False).flat)


def _save(figure: Figure, unused: list[Axes], path: Path) -> None:
    for panel in unused:
        panel.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
