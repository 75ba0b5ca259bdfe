"""Which answers go together: the correlation of the columns."""

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree, Question
from training.arrays import Galaxies
from training.explore.content import Card, Drawing, Gallery, Part
from training.explore.embed import drawing, panel

_ROWS_AT_A_TIME = 20_000
_COLOURS = mpl.colormaps["PuOr"]
_UNKNOWN = "#8a8d91"
# Not the page's ink: the fields have the same colours in light and in dark.
_DARK, _LIGHT = "#0b0b0b", "#ffffff"
_FEWEST = 3
"""Of fewer galaxies a correlation says nothing."""


def correlation(votes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Pearson's correlation of the columns, each pair over the rows that have both votes.

    Parameters
    ----------
    votes : float32, shape [N, columns]
        NaN where a vote is not known.

    Returns
    -------
    float64, shape [columns, columns]
        NaN where fewer than 3 rows have both votes, or one of the columns is the same in all of them.
    """
    columns = votes.shape[1]
    centre = np.array(
        [np.mean(own[np.isfinite(own)], dtype=np.float64) if np.isfinite(own).any() else 0 for own in votes.T]
    )
    both, first, square, product = (np.zeros((columns, columns)) for _ in range(4))
    # Sums of products about the column's mean, so that nothing is lost in the difference below; some rows at a time,
    # so that 64-bit copies of all votes are never held.
    for start in range(0, len(votes), _ROWS_AT_A_TIME):
        rows = votes[start : start + _ROWS_AT_A_TIME].astype(np.float64) - centre
        known = np.isfinite(rows)
        rows, weight = np.where(known, rows, 0), known.astype(np.float64)
        both += weight.T @ weight
        first += rows.T @ weight
        square += np.square(rows).T @ weight
        product += rows.T @ rows
    count = np.maximum(both, 1)
    covariance = product / count - (first / count) * (first.T / count)
    variance = square / count - np.square(first / count)
    scale = np.sqrt(np.maximum(variance, 0) * np.maximum(variance.T, 0))
    # Votes are float32: what varies less than their last digit does not vary.
    defined = (both >= _FEWEST) & (scale > 1e-12)
    result = np.divide(covariance, scale, out=np.full_like(scale, np.nan), where=defined)
    clipped: NDArray[np.float64] = np.clip(result, -1, 1)
    return clipped


def correlations(galaxies: Galaxies) -> Part:
    """Show the correlation of all columns, and of each question's."""
    tree, table = galaxies.tree, correlation(galaxies.votes)
    small = tuple(
        Card(f"{question.id}: {question.text}", (_small(question, table[own, own]),))
        for question, own in ((question, tree.slices[question.id]) for question in tree.questions)
        if len(question.answers) > 1
    )
    return Part(
        "correlations",
        "Which answers go together",
        (
            (
                "A correlation of 1 means that two votes rise together, -1 that one falls as the other rises, and 0 "
                "that neither tells of the other. Answers to the same question compete for the same voters, and so "
                "do all that follow different answers further up; answers on one branch of the tree rise together. "
                "Grey fields can't be computed: too few galaxies have both votes, or a vote is always the same."
            ),
        ),
        (
            Gallery((Card("All answers", (_large(tree, table),)),), width="full"),
            Gallery(small, "Within each question", "The same numbers, for the answers to one question."),
        ),
    )


def _large(tree: DecisionTree, table: NDArray[np.float64]) -> Drawing:
    labels = [f"{question.id} {answer.label}" for question in tree.questions for answer in question.answers]
    side = 2.2 + 0.16 * len(labels)
    figure, axes = panel(side + 0.9, side)
    image = axes.imshow(table, cmap=_COLOURS.with_extremes(bad=_UNKNOWN), vmin=-1, vmax=1, interpolation="none")
    places = np.arange(len(labels))
    axes.set_xticks(places, labels, rotation=90, fontsize=7.5)
    axes.set_yticks(places, labels, fontsize=7.5)
    axes.tick_params(length=0)
    for question in tree.questions[1:]:
        for line in (axes.axhline, axes.axvline):
            line(tree.slices[question.id].start - 0.5, color=_DARK, lw=0.5)
    figure.colorbar(image, ax=axes, label="correlation", shrink=0.5, ticks=(-1, -0.5, 0, 0.5, 1))
    return drawing(figure, f"Heat map: the correlation of all {len(labels)} answers. {_strongest(labels, table)}")


def _strongest(labels: list[str], table: NDArray[np.float64]) -> str:
    """Say which two answers go together and which two exclude each other most."""
    pairs = np.where(np.triu(np.ones_like(table, np.bool_), 1), table, np.nan)
    if not np.isfinite(pairs).any():
        return "None can be computed."
    ends = {"most alike": np.nanargmax(pairs), "most opposed": np.nanargmin(pairs)}
    said = []
    for what, place in ends.items():
        row, column = np.unravel_index(place, table.shape)
        said.append(f"{what}: {labels[row]} and {labels[column]}, {_signed(float(table[row, column]))}")
    return "; ".join(said).capitalize() + "."


def _small(question: Question, table: NDArray[np.float64]) -> Drawing:
    labels = [answer.label for answer in question.answers]
    figure, axes = panel(1.6 + 0.36 * len(labels), 1.1 + 0.36 * len(labels))
    axes.imshow(table, cmap=_COLOURS.with_extremes(bad=_UNKNOWN), vmin=-1, vmax=1, interpolation="none")
    places = np.arange(len(labels))
    axes.set_xticks(places, labels, rotation=90)
    axes.set_yticks(places, labels)
    axes.tick_params(length=0)
    read = []
    for row in range(len(labels)):
        for column in range(len(labels)):
            value = float(table[row, column])
            text = _signed(value) if np.isfinite(value) else ""
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=_readable(value))
            if row < column and text:
                read.append(f"{labels[row]} and {labels[column]} {text}")
    return drawing(figure, f"Heat map of correlations: {', '.join(read) or 'none can be computed'}.")


def _signed(value: float) -> str:
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(value, 2) + 0.0:.2f}"


def _readable(value: float) -> str:
    return _LIGHT if abs(value) > 0.7 else _DARK
