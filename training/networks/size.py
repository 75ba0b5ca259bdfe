"""How large a network is, and what one image costs it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Size:
    """What a network takes up and does.

    Attributes
    ----------
    parameters
        Numbers that are learnt.
    multiply_adds
        Of its convolutions and matrix products, for the example that it was given.
    """

    parameters: int
    multiply_adds: int


def size_of(model: nn.Module, example: Tensor) -> Size:
    """Count parameters, and multiply-adds for one example.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode: in training, normalisation would learn from the example.
    example : Tensor
        One image, or all that is seen of it, on the model's device.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    # PyTorch counts a multiplication and the addition after it as two operations.
    return Size(sum(each.numel() for each in model.parameters()), counter.get_total_flops() // 2)
