"""What training minimises: errors over the votes that are known, and over what is known of those that are not."""

import torch
from torch import Tensor


def squared_error(scores: Tensor, votes: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared error over the votes that are known.

    Parameters
    ----------
    scores : float, shape [N, columns]
        Scores that add up as the tree says.
    votes : float, shape [N, columns]
        NaN where a vote is not known.
    weights : float, shape [N, columns], optional
        How much each counts; all the same if not given.

    Returns
    -------
    float, shape []
        0 where no vote is known at all.
    """
    known = ~votes.isnan()
    difference = torch.where(known, scores - votes.nan_to_num(), 0.0)
    if weights is None:
        return difference.square().sum() / known.sum().clamp(min=1)
    counted = torch.where(known, weights, 0.0)
    return (counted * difference.square()).sum() / counted.sum().clamp(min=1)


def beyond_bounds(scores: Tensor, lower: Tensor, upper: Tensor, unknown: Tensor) -> Tensor:
    """Mean squared distance to the interval in which an unknown vote must lie: a hinge, squared.

    Parameters
    ----------
    scores, lower, upper : float, shape [N, columns]
    unknown : bool, shape [N, columns]
        Which votes are not known otherwise.

    Returns
    -------
    float, shape []
        Over all unknown votes; 0 where all are known.
    """
    beyond = (lower - scores).relu() + (scores - upper).relu()
    return torch.where(unknown, beyond, 0.0).square().sum() / unknown.sum().clamp(min=1)
