"""The data: how many galaxies there are, and what the voters said of them."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree, Question
from training.arrays import Galaxies
from training.explore.content import Card, Drawing, Gallery, Part, Table, counted, number
from training.explore.embed import INK, QUIET, SCORES, VOTES, drawing

MIDDLE = (0.1, 0.9)
"""Quantiles between which the middle 80 % of the galaxies lie."""


@dataclass(frozen=True)
class Spread:
    """How the votes of one column are spread over the galaxies that have them.

    Attributes
    ----------
    known
        How many galaxies have a vote.
    mean, deviation, low, high
        Mean, standard deviation, and the quantiles `MIDDLE`; NaN where no galaxy has a vote.
    majority
        The part of these galaxies whose vote is more than 0.5.
    """

    known: int
    mean: float = np.nan
    deviation: float = np.nan
    low: float = np.nan
    high: float = np.nan
    majority: float = np.nan

    @classmethod
    def of(cls, votes: NDArray[np.float32]) -> "Spread":
        """Measure one column, float32 [N]; NaN is a vote that is not known."""
        known = votes[np.isfinite(votes)].astype(np.float64)
        if not known.size:
            return cls(0)
        low, high = np.quantile(known, MIDDLE)
        majority = float((known > 0.5).mean())
        return cls(known.size, float(known.mean()), float(known.std()), float(low), float(high), majority)


def population(galaxies: Galaxies) -> Part:
    """Count the galaxies, and show the mean and the spread of each column."""
    tree = galaxies.tree
    spreads = [Spread.of(galaxies.votes[:, column]) for column in range(len(tree.columns))]
    cards = tuple(_card(question, spreads[tree.slices[question.id]]) for question in tree.questions)
    return Part(
        "data",
        "The data",
        (
            (
                f"What the {tree.voters} of {tree.title} said of each galaxy is a row of {len(tree.columns)} votes, "
                "one for each answer. A vote is the part of all voters who reached the question and gave this "
                "answer, so the votes on a question that few were asked are small."
            ),
        ),
        (
            _counts(galaxies),
            Gallery(
                cards,
                "What the voters said, question by question",
                "Left: the bar is the mean vote over all galaxies, and the line spans the middle 80 % of them. "
                "Right: in how many galaxies this answer has more than half of all voters. An answer without a bar "
                "on the right is rare: a network sees few clear examples of it.",
            ),
            _figures(tree, spreads),
        ),
    )


def _counts(galaxies: Galaxies) -> Table:
    known = np.isfinite(galaxies.votes)
    groups = {
        "all": np.ones(len(galaxies), np.bool_),
        "with every vote known": known.all(axis=1),
        "with some votes known": known.any(axis=1) & ~known.all(axis=1),
        "without any vote": ~known.any(axis=1),
    }
    splits = (groups["all"], galaxies.learning, galaxies.calibration, galaxies.validation)
    rows = [(name, *(f"{int((group & split).sum()):,}" for split in splits)) for name, group in groups.items()]
    return Table("Galaxies", ("", "all", "for training", "for calibration", "for validation"), tuple(rows))


def _card(question: Question, spreads: list[Spread]) -> Card:
    known = {each.known for each in spreads}
    count = counted(max(known), "galaxy") + (" at most" if len(known) > 1 else "")
    return Card(f"{question.id}: {question.text}", (_bars(question, spreads),), (f"from the votes on {count}",))


def _bars(question: Question, spreads: list[Spread]) -> Drawing:
    rows = np.arange(len(spreads))
    means = np.array([each.mean for each in spreads])
    ends = np.array([(each.low, each.high) for each in spreads])
    figure = Figure(figsize=(4.6, 0.27 * len(rows) + 0.75), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    left.barh(rows, np.nan_to_num(means), color=VOTES, height=0.6)
    left.hlines(rows, ends[:, 0], ends[:, 1], color=INK, lw=1.4)
    left.set(xlim=(0, 1), xlabel="mean vote", yticks=rows, ylim=(len(rows) - 0.5, -0.5))
    left.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    left.set_yticklabels([answer.label for answer in question.answers])
    majorities = 100 * np.array([each.majority for each in spreads])
    right.barh(rows, np.nan_to_num(majorities), color=SCORES, height=0.6)
    right.set(xlim=(0, 100), xticks=(0, 50, 100), xlabel="vote > 0.5 (%)")
    for axes in (left, right):
        axes.grid(axis="x", color=QUIET)
        axes.tick_params(length=0)
    means_read = [f"{answer.label} {number(each.mean)}" for answer, each in zip(question.answers, spreads, strict=True)]
    return drawing(figure, f"Mean vote on each answer: {', '.join(means_read)}. The table below holds all figures.")


def _figures(tree: DecisionTree, spreads: list[Spread]) -> Table:
    rows = [
        (
            question.id,
            answer.id,
            answer.label,
            f"{each.known:,}",
            *(number(value) for value in (each.mean, each.deviation, each.low, each.high, each.majority)),
        )
        for question in tree.questions
        for answer, each in zip(question.answers, spreads[tree.slices[question.id]], strict=True)
    ]
    header = ("question", "column", "answer", "known", "mean", "standard deviation", "10 %", "90 %", "part above 0.5")
    return Table("The same in figures", header, tuple(rows), folded=True)
