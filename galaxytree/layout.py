"""Where the questions of a decision tree lie in a score vector, as index arrays: its algebra without a loop over them.

Scores are arrays of float64 with one column an answer along their last axis. The answers of a question are neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

_SMALL, _LARGE = 1e-200, 1e200
"""Numbers below the one don't add up to infinity, and what adds up to more than the other has all its digits."""


@dataclass(frozen=True)
class Layout:
    """Index arrays of one tree.

    Attributes
    ----------
    starts
        Question -> its first column; shape [questions].
    question_of
        Column -> its question; shape [columns].
    parent_of
        Question -> the column of its weight; one past the last column where the weight is 1; shape [questions].
    independent
        Column -> whether it is a fraction of its own, with no sum to keep; shape [columns].
    some_independent
        Whether there are any of those.
    ancestors
        Column -> itself, the column of its weight, that one's, and so on; one past the last column where there are no
        more; shape [depth of the tree, columns].
    """

    starts: NDArray[np.intp]
    question_of: NDArray[np.intp]
    parent_of: NDArray[np.intp]
    independent: NDArray[np.bool_]
    some_independent: bool
    ancestors: NDArray[np.intp]

    @classmethod
    def of(cls, counts: Sequence[int], parents: Sequence[int | None], independent: Sequence[bool]) -> "Layout":
        """Lay out questions with so many answers each.

        Parameters
        ----------
        counts
            How many answers each question has.
        parents
            The column whose score is each question's weight; None where the weight is 1.
        independent
            Whether the answers of each question are fractions of their own.
        """
        question_of = np.repeat(np.arange(len(counts)), counts)
        columns = len(question_of)
        parent_of = np.array([columns if parent is None else parent for parent in parents])
        by_column = np.append(parent_of[question_of], columns)
        lines = [np.arange(columns)]
        while (lines[-1] < columns).any():
            lines.append(by_column[lines[-1]])
        return cls(
            starts=np.concatenate([[0], np.cumsum(counts)[:-1]]),
            question_of=question_of,
            parent_of=parent_of,
            independent=np.asarray(independent)[question_of],
            some_independent=any(independent),
            ancestors=np.stack(lines[:-1]),
        )

    def sums(self, rows: Rows) -> Rows:
        """Add up the columns of each question: [..., columns] -> [..., questions]."""
        return np.asarray(np.add.reduceat(rows, self.starts, axis=-1))

    def shares(self, evidence: Rows) -> Rows:
        """Divide non-negative numbers by the sum of their question's, whatever their size; where all are 0, equally.

        What becomes of a row doesn't depend on the others, to the last bit.
        """
        if evidence.size and np.maximum.reduce(evidence, axis=None) < _LARGE:
            sums = self.sums(evidence)
            if np.minimum.reduce(sums, axis=None) > _SMALL:
                # As it nearly always is.
                return np.asarray(evidence / sums[..., self.question_of])
        if evidence.ndim == 1 or len(evidence) < 2:
            return self._shares_of_any(evidence)
        # The longer way rounds otherwise: rows that need it take it by themselves.
        usual = np.maximum.reduce(evidence, axis=-1) < _LARGE
        usual[usual] = np.minimum.reduce(self.sums(evidence[usual]), axis=-1) > _SMALL
        shares = np.empty_like(evidence)
        shares[~usual] = self._shares_of_any(evidence[~usual])
        if usual.any():
            shares[usual] = self.shares(evidence[usual])
        return shares

    def _shares_of_any(self, evidence: Rows) -> Rows:
        largest = np.maximum.reduceat(evidence, self.starts, axis=-1)
        if largest.max(initial=0.0) == np.inf:
            infinite = np.isinf(evidence)
            evidence = np.where(np.isinf(largest)[..., self.question_of], infinite, evidence)
            largest = np.maximum.reduceat(evidence, self.starts, axis=-1)
        # Dividing by the largest first keeps sums of huge or denormal numbers from overflowing or losing their digits.
        spread = largest[..., self.question_of]
        relative = np.divide(evidence, spread, out=np.ones_like(evidence), where=spread > 0)
        return np.asarray(relative / self.sums(relative)[..., self.question_of])

    def descend(self, fractions: Rows) -> Rows:
        """Multiply fractions by their question's weight, from the root of the tree to its leaves."""
        return np.asarray(np.multiply.reduce(_and_one(fractions)[..., self.ancestors], axis=-2))

    def weights(self, scores: Rows) -> Rows:
        """Return what the scores of each question are to add up to: [..., columns] -> [..., questions]."""
        return np.asarray(_and_one(scores)[..., self.parent_of])


def _and_one(rows: Rows) -> Rows:
    """Append a column of ones, for those whose weight is 1."""
    padded = np.ones((*rows.shape[:-1], rows.shape[-1] + 1))
    padded[..., :-1] = rows
    return padded
