"""Whether intervals hold as many votes as they promise."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree
from training.metrics import Votes

INTERVALS = ((0.68, 1.0, 0.02), (0.95, 1.96, 0.01))
"""(part of the votes that an interval promises to hold, half its width in standard errors, how far it may be off)."""

WEIGHT = 0.1
"""Questions are looked at where the scores give them more weight than this."""


def coverage(tree: DecisionTree, scores: Votes, uncertainty: Votes, votes: Votes) -> dict[str, Any]:
    """Return the parts of the votes that lie within their intervals.

    Parameters
    ----------
    tree : DecisionTree
    scores, uncertainty, votes : float32, shape [N, columns]
        Votes that are NaN are left out.

    Returns
    -------
    dict
        ``all``: a list of the parts, in the order of `INTERVALS`, over all votes; and for each question over the
        galaxies where it has a weight over `WEIGHT`, with their number.
    """
    apart = np.abs(scores.astype(np.float64) - votes) / uncertainty
    known, weights = ~np.isnan(votes), tree.weights(scores)
    found: dict[str, Any] = {"all": {"held": _held(apart[known]), "votes": int(known.sum())}}
    for number, (question, own) in enumerate(tree.slices.items()):
        chosen = known[:, own] & (weights[:, number] > WEIGHT)[:, None]
        found[question] = {"held": _held(apart[:, own][chosen]), "votes": int(chosen.sum())}
    return found


def _held(apart: NDArray[np.float64]) -> list[float] | None:
    if not apart.size:
        return None
    return [round(float((apart <= width).mean()), 4) for _, width, _ in INTERVALS]
