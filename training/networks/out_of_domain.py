"""How unlike the galaxies of the training an image is, by the network's own features.

References
----------
Lee et al. 2018, NeurIPS, "A simple unified framework for detecting out-of-distribution samples": the Mahalanobis
distance in the features of several layers. Moghaddam & Pentland 1997, IEEE TPAMI 19, 696: principal components, and
what is left beside them.
"""

import torch
from torch import Tensor, nn


class OutOfDomain(nn.Module):
    """Statistics of an image's features to a number from 0 to 1; above 0.5 it is no galaxy like those known.

    Parameters
    ----------
    statistics : int
        How many an image has.
    components : int
        How many principal components of them are kept.
    """

    mean: Tensor
    scale: Tensor
    axes: Tensor
    spread: Tensor
    beside: Tensor
    usual: Tensor

    def __init__(self, statistics: int, components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(statistics))
        self.register_buffer("scale", torch.ones(statistics))
        self.register_buffer("axes", torch.zeros(statistics, components))
        self.register_buffer("spread", torch.ones(components))
        self.register_buffer("beside", torch.ones(()))
        self.register_buffer("usual", torch.ones(()))

    def fit(self, statistics: Tensor) -> None:
        """Learn what is usual from those of many galaxies: [N, statistics]."""
        known = statistics.double()
        self.mean.copy_(known.mean(dim=0))
        spread = known.std(dim=0)
        # Of what hardly changes from galaxy to galaxy, as the spread of a channel that is the same everywhere, the last
        # bits of a float would decide, and these are others with each runtime.
        self.scale.copy_(spread.clamp(min=1e-2 * float(spread.median())))
        standard = (known - self.mean) / self.scale
        variance, axes = torch.linalg.eigh(standard.T @ standard / len(standard))
        kept = self.axes.shape[1]
        self.axes.copy_(axes[:, -kept:])
        self.spread.copy_(variance[-kept:].clamp(min=1e-12).sqrt())
        # The mean variance of the other directions (Tipping & Bishop 1999).
        self.beside.copy_(variance[:-kept].clamp(min=1e-12).mean())

    def distance(self, statistics: Tensor) -> Tensor:
        """Return the squared Mahalanobis distance [N] of images whose statistics are [N, statistics]."""
        standard = (statistics - self.mean) / self.scale
        along = standard @ self.axes
        # A product, and no power: what runs the network may take a power for any power.
        squared = along * along
        left = ((standard * standard).sum(dim=1) - squared.sum(dim=1)).clamp(min=0)
        return (squared / self.spread.square()).sum(dim=1) + left / self.beside

    def forward(self, statistics: Tensor) -> Tensor:
        """Map statistics [N, statistics] to numbers from 0 to 1: 0.5 at the distance that is still usual."""
        distance = self.distance(statistics)
        return distance / (distance + self.usual)
