"""Smoothing of what a network sees, done by its first convolution."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.classifier import ViewClassifier


def smoothed(classifier: ViewClassifier, weight: float) -> ViewClassifier:
    """Return a network that sees its views smoothed by the kernel (w, 1 - 2w, w) along rows and along columns.

    Two convolutions in a row are one with a wider kernel: the first of the network, wider by a pixel on each side,
    smooths by itself. It pads by a pixel more, so that what is smoothed are the view and the zeros around it.

    Parameters
    ----------
    classifier : ViewClassifier
        Is left as it is.
    weight : float
        w, the weight of each neighbour. Nothing is smoothed at 0.

    Returns
    -------
    ViewClassifier

    Raises
    ------
    ValueError
        If the network's first convolution is none that `_wider` can stand in for.
    """
    if not weight:
        return classifier
    made = copy.deepcopy(classifier)
    name, first = next((name, each) for name, each in made.backbone.named_modules() if isinstance(each, nn.Conv2d))
    made.backbone.set_submodule(name, _wider(first, weight))
    return made


def _wider(first: nn.Conv2d, weight: float) -> nn.Conv2d:
    """Return a convolution that smooths, and then does what another one does; ValueError if that one is not plain."""
    outputs, inputs, kernel, _ = first.weight.shape
    even = all(len(set(each)) == 1 for each in (first.kernel_size, first.stride, first.padding))
    plain = first.bias is None and (first.groups, first.dilation, first.padding_mode) == (1, (1, 1), "zeros")
    if not (even and plain) or isinstance(first.padding, str):
        msg = (
            "smoothing can only be built into a convolution that does the same along rows and columns, has no bias, "
            f"groups or dilation, and is padded by a number of zeros, not into {first}"
        )
        raise ValueError(msg)
    (stride, _), (padding, _) = first.stride, first.padding
    wider = nn.Conv2d(inputs, outputs, kernel + 2, stride, padding + 1, bias=False, device=first.weight.device)
    with torch.no_grad():
        wider.weight.copy_(_spread(first.weight, weight))
    return wider


def _spread(weights: Tensor, weight: float) -> Tensor:
    """Return weights [outputs, inputs, k, k] as they act on what is not smoothed: [outputs, inputs, k + 2, k + 2]."""
    line = torch.tensor([weight, 1 - 2 * weight, weight], dtype=torch.float64, device=weights.device)
    kernel = torch.outer(line, line)[None, None]
    # The kernel is its own mirror image, so that correlation, which this is, and convolution are the same.
    planes = weights.double().flatten(0, 1)[:, None]
    spread = functional.conv2d(planes, kernel, padding=2)
    return spread.reshape(*weights.shape[:2], *spread.shape[2:])
