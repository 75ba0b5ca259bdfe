"""What is known of votes that are not known exactly: bounds, and scores that agree with them.

Bounds are a lower and an upper limit of each vote. Where a vote is known both are the vote; where nothing is known
they are 0 and 1. The sums of the decision tree tell more than is written down: who knows that 0.7 called a galaxy round
knows that at least 0.7 called it smooth, and that at most 0.3 saw features. `tighten` draws these conclusions, and
`agree` moves scores as little as it takes to be within the bounds and still add up.

Everything works on all galaxies at once and in float64.
"""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree, Question

Floats = TypeVar("Floats", np.float32, np.float64)
Scores = NDArray[np.float32] | NDArray[np.float64]
Rows = NDArray[np.float64]

# By how much votes of a table may miss the class of their galaxy.
_TOLERANCE = 1e-3
# By how much bounds may cross, since the votes of several questions may each miss their sum by the above.
_ROUNDING = 1e-2
# The last bit of a shift that lies between -1 and 1 is below what a score in float32 tells apart.
_HALVINGS = 40


def bounds_of_votes(votes: NDArray[Floats]) -> tuple[NDArray[Floats], NDArray[Floats]]:
    """Return the lower and upper bounds that votes alone give: the vote, or 0 and 1 where it is NaN."""
    unknown = np.isnan(votes)
    return np.where(unknown, votes.dtype.type(0), votes), np.where(unknown, votes.dtype.type(1), votes)


def tighten(
    tree: DecisionTree, lower: NDArray[Floats], upper: NDArray[Floats]
) -> tuple[NDArray[Floats], NDArray[Floats]]:
    """Draw all conclusions from bounds that the sums of a tree allow.

    The answers to a question add up to its weight, and no answer can take more than the others leave, or less than they
    can't take. One sweep from the leaves to the root, in which each question bounds its weight, and one back, in which
    it bounds its answers, reach all there is: no two questions are linked in more than one way, and so every value
    between the bounds that come out is taken by some scores that add up and are within the bounds that went in.
    Independent fractions tell nothing of each other.

    Parameters
    ----------
    tree : DecisionTree
    lower, upper : array of float32 or float64, shape [N, columns]
        Between 0 and 1.

    Returns
    -------
    lower, upper : array of the same shape and dtype
        Where no scores are within the bounds, a lower one may come out above the upper one, both between 0 and 1.
    """
    low, high = lower.astype(np.float64).clip(0, 1), upper.astype(np.float64).clip(0, 1)
    for question in reversed(tree.order):
        if question.parent is not None:
            own, parent = tree.slices[question.id], tree.index[question.parent]
            low[:, parent] = np.maximum(low[:, parent], np.minimum(low[:, own].sum(axis=1), 1))
            high[:, parent] = np.minimum(high[:, parent], high[:, own].sum(axis=1))
    for question in tree.order:
        if not question.independent:
            own = tree.slices[question.id]
            others_low = low[:, own].sum(axis=1, keepdims=True) - low[:, own]
            others_high = high[:, own].sum(axis=1, keepdims=True) - high[:, own]
            least, most = _weight(tree, question, low), _weight(tree, question, high)
            low[:, own] = np.maximum(low[:, own], least - others_high)
            high[:, own] = np.minimum(high[:, own], np.maximum(most - others_low, 0))
    return low.astype(lower.dtype), high.astype(upper.dtype)


class Combined(NamedTuple):
    """Bounds of votes, and the galaxies on which the sources are at odds.

    Attributes
    ----------
    lower, upper : array of float32, shape [N, columns]
        Tightened; both are the vote where it is known, and nowhere is a lower one above the upper one.
    impossible : array of bool, shape [N]
        Whether no scores have the known votes, though no single question tells. Nothing but these votes is known then.
    contradicted : array of bool, shape [N]
        Whether the bounds that were given contradict the votes. They are dropped then, for the votes are known.
    """

    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    impossible: NDArray[np.bool_]
    contradicted: NDArray[np.bool_]


def combine(
    tree: DecisionTree, votes: NDArray[np.float32], lower: NDArray[np.float32], upper: NDArray[np.float32]
) -> Combined:
    """Combine votes, NaN where not known, with bounds of other origin; all of shape [N, columns]."""
    known = ~np.isnan(votes)
    bare = tuple(each.astype(np.float64) for each in bounds_of_votes(votes))
    alone = tighten(tree, *bare)
    both = tighten(tree, np.where(known, bare[0], lower), np.where(known, bare[1], upper))
    impossible = _cross(*alone)
    # NaN, a vote that is not known, is beyond no bound.
    beyond = ((votes < lower - _TOLERANCE) | (votes > upper + _TOLERANCE)).any(axis=1)
    contradicted = ~impossible & (beyond | _cross(*both))
    choice = [impossible[:, None], contradicted[:, None]]
    low, high = (np.select(choice, each[:2], each[2]) for each in zip(bare, alone, both, strict=True))
    ends = np.minimum(low, high), np.maximum(low, high)
    low, high = (np.where(known, votes, each).astype(np.float32) for each in ends)
    return Combined(low, high, impossible, contradicted)


def _cross(lower: Rows, upper: Rows) -> NDArray[np.bool_]:
    crossed: NDArray[np.bool_] = np.any(lower > upper + _ROUNDING, axis=1)
    return crossed


def agree(tree: DecisionTree, scores: Scores, lower: Scores, upper: Scores) -> NDArray[np.float32]:
    """Make consistent scores, as those that a network predicts, agree with what is known.

    From the root of the tree to its leaves each question's vote fractions are multiplied by its new weight and then
    moved to the nearest point, in the Euclidean sense, that adds up to that weight and is within the tightened bounds.
    Where the scores leave a question without any votes, its answers share the weight equally before they are moved.

    The sums of the tree always hold. Bounds that can't be kept with them, as those of votes which a table rounded, give
    way: answers whose bounds add up to too much or too little for their question's weight are moved beyond them, by as
    little as possible in the Euclidean sense. A whole contradiction is met in the same way, and no error.

    Parameters
    ----------
    tree : DecisionTree
    scores : array of float32 or float64, shape [N, columns]
        Scores that add up as the tree says; independent fractions are clipped to the bounds.
    lower, upper : array of float32 or float64, shape [N, columns]
        Bounds of the votes, tightened or not.

    Returns
    -------
    array of float32, shape [N, columns]
    """
    least, most = lower.astype(np.float64), upper.astype(np.float64)
    low, high = tighten(tree, least, most)
    # Where they cross, what the answer itself and what the others tell is as likely; what was given counts more.
    low, high = (np.clip(end(low, high), least, most) for end in (np.minimum, np.maximum))
    given, result = scores.astype(np.float64), np.empty(scores.shape)
    for question in tree.order:
        own = tree.slices[question.id]
        if question.independent:
            result[:, own] = given[:, own].clip(low[:, own], high[:, own])
            continue
        votes = given[:, own].sum(axis=1, keepdims=True)
        shares = np.full_like(given[:, own], 1 / len(question.answers))
        np.divide(given[:, own], votes, out=shares, where=votes > 0)
        weight = _weight(tree, question, result)
        result[:, own] = _nearest(shares * weight, weight, low[:, own], high[:, own])
    return result.astype(np.float32)


def _nearest(target: Rows, weight: Rows, low: Rows, high: Rows) -> Rows:
    """Return what is nearest to `target` [N, answers], adds up to `weight` [N, 1], and lies between the bounds.

    That is the target, shifted by one number for all answers and clipped to the bounds. The more it is shifted the
    larger is the sum, so that halving finds the number.
    """
    # Bounds without room for the weight give way: the nearest point is then looked for beyond the bound that is short.
    short, beyond = high.sum(axis=1, keepdims=True) < weight, low.sum(axis=1, keepdims=True) > weight
    target = np.where(short, high, np.where(beyond, low, target))
    low, high = (
        np.where(beyond, 0.0, np.where(short, high, low)),
        np.where(beyond, low, np.where(short, 1.0, high)),
    )
    least, most = np.full_like(weight, -1.0), np.full_like(weight, 1.0)
    for _ in range(_HALVINGS):
        shift = (least + most) / 2
        too_little = (target + shift).clip(low, high).sum(axis=1, keepdims=True) < weight
        least, most = np.where(too_little, shift, least), np.where(too_little, most, shift)
    return (target + (least + most) / 2).clip(low, high)


def _weight(tree: DecisionTree, question: Question, rows: Rows) -> Rows:
    if question.parent is None:
        return np.ones((len(rows), 1))
    position = tree.index[question.parent]
    return rows[:, position : position + 1]
