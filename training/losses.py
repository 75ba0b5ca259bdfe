"""What training minimises, and what is reported: errors over the votes that are known."""

import torch
from torch import Tensor


def squared_error(scores: Tensor, votes: Tensor) -> Tensor:
    """Mean squared error over the votes that are known.

    Parameters
    ----------
    scores : float, shape [N, columns]
        Scores that add up as the tree says.
    votes : float, shape [N, columns]
        NaN where a vote is not known.

    Returns
    -------
    float, shape []
        0 where no vote is known at all.
    """
    known = ~votes.isnan()
    difference = torch.where(known, scores - votes.nan_to_num(), 0.0)
    return difference.square().sum() / known.sum().clamp(min=1)
