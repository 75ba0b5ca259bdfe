"""The region of interest: where in an image the galaxy is, and how large."""

import torch
from torch import Tensor
from torch.nn import functional

_THRESHOLD = 0.15
_FALL = 0.5
_MARGIN = 1.2
_SMALLEST = 0.2


def region_of_interest(images: Tensor) -> Tensor:
    """Find the square around the brightest connected region, the nearer to the centre the rather.

    The brightness above the sky, which is the median, is weighted with the distance from the centre to find the
    brightest place. The region is all that is connected with it and has at least 15 % of its brightness. The square
    holds it with a margin of a fifth, and is never smaller than a fifth of the image nor larger than the image.

    Parameters
    ----------
    images : uint8, shape [N, S, S, 3]

    Returns
    -------
    float32, shape [N, 3]
        x and y of the square's centre, and half of its side, in units of half the image: x and y from -1 to 1.
    """
    # At half scale a region grows in half as many steps, and noise counts less.
    grey = functional.avg_pool2d(images.float().mean(dim=3)[:, None], 2)
    count, side = len(grey), grey.shape[-1]
    sky = grey.flatten(1).median(dim=1).values
    excess = (functional.avg_pool2d(grey, 3, 1, 1) - sky[:, None, None, None]).clamp(min=0)
    axis = (torch.arange(side, device=images.device) + 0.5) * 2 / side - 1
    nearness = 1 / (1 + (axis[:, None].square() + axis[None, :].square()) / _FALL**2)
    brightest = (excess * nearness).flatten(1).argmax(dim=1, keepdim=True)
    seed = torch.zeros(count, side * side, dtype=torch.bool, device=images.device)
    seed = seed.scatter_(1, brightest, value=True).view_as(grey)
    threshold = _THRESHOLD * excess.flatten(1).gather(1, brightest)
    region = _connected(seed, excess >= threshold[:, :, None, None])

    first, last = [], []
    for covered in (region.any(dim=2).flatten(1), region.any(dim=3).flatten(1)):
        # A running maximum is 0 up to the first covered place; from the other side, down to the last.
        first.append((covered.int().cummax(dim=1).values == 0).sum(dim=1) * 2 / side - 1)
        last.append(1 - (covered.int().flip(1).cummax(dim=1).values == 0).sum(dim=1) * 2 / side)
    begin, end = torch.stack(first, dim=1), torch.stack(last, dim=1)
    half = (_MARGIN * (end - begin).amax(dim=1) / 2).clamp(_SMALLEST, 1)
    return torch.cat([(begin + end) / 2, half[:, None]], dim=1)


def _connected(seed: Tensor, mask: Tensor) -> Tensor:
    """Grow the seed, neighbour by neighbour, over all of the mask that is connected with it; bool [N, 1, S, S]."""
    while True:
        grown = _dilated(_dilated(seed, 2), 3) & mask
        if torch.equal(grown, seed):
            return seed
        seed = grown


def _dilated(region: Tensor, axis: int) -> Tensor:
    """Add the neighbours along one axis."""
    dilated, length = region.clone(), region.shape[axis] - 1
    dilated.narrow(axis, 1, length).logical_or_(region.narrow(axis, 0, length))
    dilated.narrow(axis, 0, length).logical_or_(region.narrow(axis, 1, length))
    return dilated
