"""The galaxy on which the voters were surest of each answer."""

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree
from training.arrays import Galaxies
from training.explore.content import Card, Gallery, Part, number
from training.explore.embed import photograph


def surest(votes: NDArray[np.float32]) -> list[int | None]:
    """Return which row has the highest vote in each column; None where no vote of it is known and above 0.

    Of several rows with the same vote the first one counts.
    """
    filled = np.where(np.isfinite(votes), votes, 0)
    return [int(row) if filled[row, column] > 0 else None for column, row in enumerate(filled.argmax(axis=0))]


def structured(tree: DecisionTree, votes: NDArray[np.float32]) -> int:
    """Return which of the `surest` rows has most votes along its likeliest path; row 0 if there are none.

    The more of the tree a galaxy leads through, and the more agree on it, the clearer is its structure, as arms and a
    bar: on such a one a network's filters show what they see.
    """
    rows = sorted({row for row in surest(votes) if row is not None}) or [0]

    def along(row: int) -> float:
        filled = np.nan_to_num(votes[row])
        return float(filled[[tree.index[answer] for answer in tree.path(filled)]].sum())

    return max(rows, key=along)


def examples(galaxies: Galaxies) -> Part:
    """Show one picture for each answer."""
    tree, rows = galaxies.tree, surest(galaxies.votes)
    galleries = []
    for question in tree.questions:
        cards = []
        for answer in question.answers:
            column = tree.index[answer.id]
            row = rows[column]
            if row is None:
                cards.append(Card(answer.label, lines=(answer.id, "no galaxy has a vote for it")))
                continue
            name, vote = str(galaxies.names[row]), float(galaxies.votes[row, column])
            picture = photograph(galaxies.images[row], f"Galaxy {name}, {answer.label}: vote {number(vote)}")
            cards.append(Card(answer.label, (picture,), (f"{answer.id}: {number(vote)}", name)))
        galleries.append(Gallery(tuple(cards), f"{question.id}: {question.text}", width="small"))
    return Part(
        "examples",
        "The clearest galaxy of each answer",
        (
            (
                f"For each answer the galaxy with the highest vote among all of the file. Where even this vote is "
                f"low, the {tree.voters} hardly ever agreed on the answer, or few of them got as far as the question."
            ),
        ),
        tuple(galleries),
    )
