"""What AdamW is told beside the gradients: how large a step is when, and which parameters decay."""

import math
from typing import Any

from torch import nn


def schedule(progress: float, warmup: float) -> float:
    """Return the step size in units of the largest: a linear rise, then half a cosine down to 0.

    Parameters
    ----------
    progress : float
        Part of all steps that is done, from 0 to 1.
    warmup : float
        Part of all steps in which the step size rises, below 1.
    """
    if progress < warmup:
        return progress / warmup
    return (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


def decayed(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the parameters: weights decay; biases and normalisation, which have one axis, do not.

    Returns
    -------
    list of dict
        Parameter groups of an optimiser.
    """
    parameters = list(network.parameters())
    return [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": weight_decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]
