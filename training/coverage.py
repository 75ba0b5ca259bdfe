"""Whether intervals hold as many vote fractions as they promise."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import DecisionTree
from training.metrics import Votes

INTERVALS = ((0.68, 1.0), (0.95, 1.96))
"""(part of the vote fractions that an interval promises to hold, half its width in standard deviations if normal)."""

WEIGHT = 0.1
"""Questions are looked at where the scores give them more weight than this."""


def coverage(tree: DecisionTree, scores: Votes, halves: tuple[Votes, Votes], votes: Votes) -> dict[str, Any]:
    """Return the parts of the votes that lie within their intervals.

    Parameters
    ----------
    tree : DecisionTree
    scores, votes : float32, shape [N, columns]
        Votes that are NaN are left out.
    halves : tuple of float32, shape [N, columns]
        Half the width of each of the `INTERVALS`.

    Returns
    -------
    dict
        ``all``: a list of the parts, in the order of `INTERVALS`, over all votes; and for each question over the
        galaxies where it has a weight over `WEIGHT`, with their number.
    """
    apart = np.abs(scores.astype(np.float64) - votes)
    within = np.stack([apart <= half for half in halves], axis=-1)
    known, weights = ~np.isnan(votes), tree.weights(scores)
    found: dict[str, Any] = {"all": {"held": _held(within[known]), "votes": int(known.sum())}}
    for number, (question, own) in enumerate(tree.slices.items()):
        chosen = known[:, own] & (weights[:, number] > WEIGHT)[:, None]
        found[question] = {"held": _held(within[:, own][chosen]), "votes": int(chosen.sum())}
    return found


def _held(within: NDArray[np.bool_]) -> list[float] | None:
    """Return the part of each interval: of bool [n, intervals]."""
    return [round(float(part), 4) for part in within.mean(axis=0)] if len(within) else None
