"""Calibration: whether galaxies with a score of 0.3 have votes of 0.3 on average."""

from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from galaxytree.decision_tree import Question
from training.arrays import Galaxies
from training.explore.content import Card, Drawing, Gallery, Part, counted, number
from training.explore.embed import QUIET, SCORES, drawing, panel
from training.metrics import rmse

BINS = 10
_FEW = 10
"""Bins of fewer votes are drawn hollow: their mean is uncertain itself."""


@dataclass(frozen=True)
class Reliability:
    """Scores in bins of equal width, with the votes that belong to them; bins without a score are left out.

    Attributes
    ----------
    scores, votes : float64, shape [bins]
        Means of each bin.
    counts : int, shape [bins]
        How many pairs of score and vote lie in each.
    """

    scores: NDArray[np.float64]
    votes: NDArray[np.float64]
    counts: NDArray[np.intp]

    @classmethod
    def of(cls, scores: NDArray[np.float32], votes: NDArray[np.float32]) -> "Reliability":
        """Sort pairs, arrays of the same shape, into `BINS` bins of the score; unknown votes are left out."""
        known = np.isfinite(scores) & np.isfinite(votes)
        said, true = scores[known].astype(np.float64), votes[known].astype(np.float64)
        bins = np.clip((said * BINS).astype(np.intp), 0, BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        filled = counts > 0
        sums = [np.bincount(bins, weights=values, minlength=BINS)[filled] for values in (said, true)]
        return cls(sums[0] / counts[filled], sums[1] / counts[filled], counts[filled])


def calibration(galaxies: Galaxies, scores: NDArray[np.float32]) -> Part:
    """Show the reliability of each question's scores."""
    tree, cards = galaxies.tree, []
    for question in tree.questions:
        own = tree.slices[question.id]
        reliability = Reliability.of(scores[:, own], galaxies.votes[:, own])
        lines = (
            f"RMSE {number(rmse(scores[:, own], galaxies.votes[:, own]))}",
            f"from {counted(int(reliability.counts.sum()), 'vote')}",
        )
        cards.append(Card(f"{question.id}: {question.text}", (_plot(question, reliability),), lines))
    return Part(
        "calibration",
        "Whether the scores can be taken at their word",
        (
            (
                "Scores are sorted into ten bins, from 0 to 0.1 up to 0.9 to 1, and each dot is the mean vote of one "
                "bin. On the line, a score of 0.3 means votes of 0.3 on average. Below it the model claims too much, "
                f"above it too little. Larger dots hold more votes; hollow ones fewer than {_FEW}, and say little."
            ),
        ),
        (Gallery(tuple(cards), width="plot"),),
    )


def _plot(question: Question, reliability: Reliability) -> Drawing:
    figure, axes = panel(3.0, 2.9)
    axes.plot([0, 1], [0, 1], color=QUIET, lw=1.2)
    sizes = 14 + 14 * np.log10(np.maximum(reliability.counts, 1))
    few = reliability.counts < _FEW
    axes.plot(reliability.scores, reliability.votes, color=SCORES, lw=0.8)
    axes.scatter(reliability.scores[~few], reliability.votes[~few], sizes[~few], color=SCORES)
    axes.scatter(reliability.scores[few], reliability.votes[few], sizes[few], facecolors="none", edgecolors=SCORES)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", xlabel="score", ylabel="mean vote")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([0, 0.5, 1]))
    read = [f"{score:.2f}: {vote:.2f}" for score, vote in zip(reliability.scores, reliability.votes, strict=True)]
    return drawing(figure, f"Mean score and mean vote of {question.id}, bin by bin: {', '.join(read) or 'no votes'}.")
