"""The worst predictions, and the galaxies that a model takes down another path of the tree than the voters."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree
from training.arrays import Galaxies
from training.explore.content import Card, Drawing, Gallery, Part, Table, number
from training.explore.embed import INK, QUIET, SCORES, VOTES, drawing, photograph
from training.predict import Predictions

_SHOWN = 12
_REACHED = 0.1
"""Questions that neither votes nor scores give this weight are left out of the bars."""

_ARROW = " → "


def row_errors(scores: NDArray[np.float32], votes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each galaxy's root mean squared error over the votes that are known.

    Parameters
    ----------
    scores, votes : float32, shape [N, columns]

    Returns
    -------
    float64, shape [N]
        NaN where no vote is known.
    """
    squares = np.square(scores.astype(np.float64) - votes)
    known = np.isfinite(squares)
    count = known.sum(axis=1)
    means = np.divide(
        np.where(known, squares, 0).sum(axis=1), count, out=np.full(len(squares), np.nan), where=count > 0
    )
    root: NDArray[np.float64] = np.sqrt(means)
    return root


def worst(scores: NDArray[np.float32], votes: NDArray[np.float32]) -> list[int]:
    """Return the rows whose votes are known at all, the largest `row_errors` first."""
    errors = row_errors(scores, votes)
    return [int(row) for row in np.argsort(-errors, kind="stable") if np.isfinite(errors[row])]


@dataclass(frozen=True)
class Paths:
    """The likeliest paths of one galaxy, as far as the votes are known, as ids of answers.

    Attributes
    ----------
    votes, scores
        By the voters, and by the model.
    apart
        How far votes and scores differ on the answers that are on one of the paths only; 0 where they are the same.
    """

    votes: tuple[str, ...]
    scores: tuple[str, ...]
    apart: float

    @classmethod
    def of(cls, tree: DecisionTree, scores: NDArray[np.float32], votes: NDArray[np.float32]) -> "Paths":
        """Follow both through the tree, each float32 [columns]."""
        known = np.isfinite(votes) & np.isfinite(scores)
        by_votes, by_scores = (_known_path(tree, values, known) for values in (votes, scores))
        columns = [tree.index[each] for each in set(by_votes) ^ set(by_scores)]
        return cls(by_votes, by_scores, float(np.abs(votes[columns] - scores[columns]).max(initial=0)))

    def parting(self, tree: DecisionTree) -> str:
        """Return the question at which two paths that differ first do."""
        other = set(self.votes) ^ set(self.scores)
        (first,) = [each for each in (*self.votes, *self.scores) if each in other][:1]
        return next(question.id for question in tree.questions if first in [answer.id for answer in question.answers])


def _known_path(tree: DecisionTree, values: NDArray[np.float32], known: NDArray[np.bool_]) -> tuple[str, ...]:
    path = []
    for answer in tree.path(np.where(known, values, np.float32(0))):
        question = next(own for own in tree.questions if answer in [each.id for each in own.answers])
        # Beyond a question whose votes are not known, nobody knows where the voters would have gone.
        if not question.independent and not known[tree.slices[question.id]].all():
            break
        path.append(answer)
    return tuple(path)


def mistakes(galaxies: Galaxies, predictions: Predictions) -> Part:
    """Show the largest errors, and the most decided differences between the paths."""
    tree, scores, votes = galaxies.tree, predictions.scores, galaxies.votes
    ranked = worst(scores, votes)
    paths = {row: Paths.of(tree, scores[row], votes[row]) for row in ranked}
    differing = sorted((row for row in ranked if paths[row].apart > 0), key=lambda row: -paths[row].apart)
    errors = row_errors(scores, votes)
    parting = Counter(paths[row].parting(tree) for row in differing)
    bad = tuple(_bad_card(galaxies, row, predictions, paths[row], float(errors[row])) for row in ranked[:_SHOWN])
    parted = tuple(_parted_card(galaxies, row, paths[row]) for row in differing[:_SHOWN])
    table = Table(
        "Where the likeliest paths part",
        ("question", "", "galaxies"),
        tuple((each.id, each.text, f"{parting[each.id]:,}") for each in tree.questions if parting[each.id]),
    )
    reach = "" if predictions.uncertainty is None else " Lines reach from scores by uncertainty to both sides."
    blocks: list[Gallery | Table] = [
        Gallery(
            bad,
            "The largest errors",
            "Error is the root mean squared difference between a galaxy's votes and scores. Upper bars are the votes "
            f"of the {tree.voters}, lower bars the model's scores. Questions that hardly anybody reached are left "
            f"out.{reach}",
        )
    ]
    if differing:
        blocks += [
            table,
            Gallery(
                parted,
                "Another path",
                "The galaxies on which votes and scores lie furthest apart where their likeliest paths differ.",
                width="small",
            ),
        ]
    return Part(
        "mistakes",
        "Where the model is wrong",
        (
            (
                f"Of {len(ranked):,} galaxies of the validation split, the likeliest path through the tree is "
                f"another one by the model than by the {tree.voters} for {len(differing):,}. Look for what they have "
                "in common: a second object in the picture, a galaxy that is too faint, votes that are hard to believe."
            ),
        ),
        tuple(blocks),
    )


def _bad_card(galaxies: Galaxies, row: int, predictions: Predictions, paths: Paths, error: float) -> Card:
    tree, name = galaxies.tree, str(galaxies.names[row])
    picture = photograph(galaxies.images[row], f"Galaxy {name}, error {number(error)}")
    own = None if predictions.uncertainty is None else predictions.uncertainty[row]
    same = "same likeliest path" if paths.votes == paths.scores else "another likeliest path"
    bars = _bars(tree, galaxies.votes[row], predictions.scores[row], own)
    return Card(name, (picture, bars), (f"error {number(error)}, {same}", *_said(tree, paths)))


def _parted_card(galaxies: Galaxies, row: int, paths: Paths) -> Card:
    name = str(galaxies.names[row])
    picture = photograph(galaxies.images[row], f"Galaxy {name}, on which the likeliest paths differ")
    return Card(name, (picture,), _said(galaxies.tree, paths))


def _said(tree: DecisionTree, paths: Paths) -> tuple[str, str]:
    labels = {answer.id: answer.label for question in tree.questions for answer in question.answers}
    by_votes, by_scores = (_ARROW.join(labels[each] for each in path) for path in (paths.votes, paths.scores))
    return f"{tree.voters}: {by_votes or 'nothing'}", f"model: {by_scores or 'nothing'}"


def _bars(
    tree: DecisionTree,
    votes: NDArray[np.float32],
    scores: NDArray[np.float32],
    uncertainty: NDArray[np.float32] | None,
) -> Drawing:
    places, columns, labels, top, breaks = [], [], [], 0.0, []
    largest = np.fmax(np.nan_to_num(votes), np.nan_to_num(scores))
    reached = [each for each in tree.questions if largest[tree.slices[each.id]].max() >= _REACHED]
    for question in reached or tree.questions[:1]:
        breaks.append(top - 0.75)
        for answer in question.answers:
            places.append(top)
            columns.append(tree.index[answer.id])
            labels.append(f"{question.id} {answer.label}")
            top += 1
        top += 0.5
    rows = np.array(places)
    figure = Figure(figsize=(4.2, 0.19 * top + 0.8), layout="constrained")
    axes = figure.subplots()
    axes.barh(rows - 0.2, np.nan_to_num(votes[columns]), 0.36, color=VOTES, label="votes")
    axes.barh(rows + 0.2, np.nan_to_num(scores[columns]), 0.36, color=SCORES, label="scores")
    if uncertainty is not None:
        axes.errorbar(
            scores[columns],
            rows + 0.2,
            xerr=np.nan_to_num(uncertainty[columns]).clip(0, 1),
            fmt="none",
            ecolor=INK,
            lw=0.8,
        )
    axes.hlines(breaks[1:], 0, 1, color=QUIET, lw=0.6)
    axes.set_yticks(rows, labels, fontsize=8)
    axes.set(xlim=(0, 1), xticks=(0, 0.5, 1), ylim=(top - 0.7, -0.7))
    axes.tick_params(length=0)
    axes.grid(axis="x", color=QUIET)
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    read = [
        f"{label} {number(float(votes[column]))} and {number(float(scores[column]))}"
        for label, column in zip(labels, columns, strict=True)
    ]
    return drawing(figure, f"Bars, votes and scores: {', '.join(read)}.")
