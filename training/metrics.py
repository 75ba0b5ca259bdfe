"""How near scores come to votes."""

import math

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree

Votes = NDArray[np.float32]


def rmse(scores: Votes, votes: Votes) -> float:
    """Root mean squared error over all galaxies and columns, as the Kaggle challenge scores it.

    Parameters
    ----------
    scores, votes : float32, shape [N, columns]
        Votes that are NaN are not known, and left out.

    Returns
    -------
    float
        NaN where no vote is known.
    """
    return _root_mean_square(scores.astype(np.float64) - votes)


def rmse_by_column(tree: DecisionTree, scores: Votes, votes: Votes) -> dict[str, float]:
    """Return the RMSE of each column."""
    return {name: rmse(scores[:, [column]], votes[:, [column]]) for column, name in enumerate(tree.columns)}


def rmse_by_question(tree: DecisionTree, scores: Votes, votes: Votes) -> dict[str, float]:
    """Return the RMSE over the columns of each question."""
    return {question: rmse(scores[:, own], votes[:, own]) for question, own in tree.slices.items()}


def agreement(tree: DecisionTree, scores: Votes, votes: Votes, weight: float = 0.5) -> dict[str, tuple[float, int]]:
    """How often the likeliest answer is the volunteers' own, question by question.

    A galaxy counts for a question where its votes are known and more than `weight` of all voters were asked it. Scores
    that never lead to the question give it no answer, and so do not agree.

    Returns
    -------
    dict
        Question -> (part of the galaxies that agree, number of galaxies).
    """
    asked, reached = tree.weights(votes) > weight, tree.weights(scores) > 0
    result = {}
    for number, (question, own) in enumerate(tree.slices.items()):
        counted = asked[:, number] & ~np.isnan(votes[:, own]).any(axis=1)
        same = reached[:, number] & (scores[:, own].argmax(axis=1) == votes[:, own].argmax(axis=1))
        result[question] = (float(same[counted].mean()) if counted.any() else math.nan, int(counted.sum()))
    return result


def _root_mean_square(difference: NDArray[np.float64]) -> float:
    known = difference[~np.isnan(difference)]
    return math.sqrt(float(np.square(known).mean())) if known.size else math.nan
