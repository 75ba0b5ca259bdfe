"""A densely connected network.

References
----------
Huang et al. 2017, CVPR, "Densely Connected Convolutional Networks"; DenseNet-121 by default.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_GROWTH = 32
_BOTTLENECK = 4 * _GROWTH


class Dense(nn.Module):
    """A bottleneck and a 3 x 3 convolution, whose channels are put beside all that came in."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), nn.Conv2d(inputs, _BOTTLENECK, 1, bias=False)),
            *(nn.BatchNorm2d(_BOTTLENECK), nn.ReLU(inplace=True)),
            nn.Conv2d(_BOTTLENECK, _GROWTH, 3, padding=1, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, inputs + 32, H, W]."""
        return torch.cat([images, self.layers(images)], dim=1)


def densenet(columns: int, dropout: float = 0.0, repeats: Sequence[int] = (6, 12, 24, 16)) -> nn.Sequential:
    """Make DenseNet-121, or one of other depths, for colour images of any size; its last layer is the classifier.

    Parameters
    ----------
    columns : int
        Raw outputs.
    dropout : float
        Part of the pooled features that is left out at random in training.
    repeats : sequence of int
        Dense layers of each block.
    """
    channels = 2 * _GROWTH
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels)]
    layers += [nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    for block, repeat in enumerate(repeats):
        if block:
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
        for _ in range(repeat):
            layers.append(Dense(channels))
            channels += _GROWTH
    layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(channels, columns))
