"""Plain convolutional networks: convolutions and poolings in a row, then dense layers."""

import itertools
from collections.abc import Sequence

from torch import nn

from training.networks.classic.beginning import begun


def stack(channels: Sequence[int], kernels: Sequence[int], pooled: Sequence[bool]) -> list[nn.Module]:
    """Return convolutions that keep the size, each rectified, and some of them max-pooled by 2.

    Parameters
    ----------
    channels : sequence of int
        Of the input and of every convolution.
    kernels : sequence of int
        Side of every convolution's kernel.
    pooled : sequence of bool
        Whether a pooling follows each.
    """
    layers: list[nn.Module] = []
    for (inputs, outputs), kernel, pool in zip(itertools.pairwise(channels), kernels, pooled, strict=True):
        layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU(inplace=True)]
        layers += [nn.MaxPool2d(2)] if pool else []
    return layers


def alexnet_like(answers: int) -> nn.Sequential:
    """Make AlexNet's five convolutions for grey images, with two small dense layers, for 169 px.

    References
    ----------
    Krizhevsky, Sutskever & Hinton 2012, NeurIPS. Its dense layers have 4,096 units; here they have 512.
    """
    return begun(
        nn.Sequential(
            *(nn.Conv2d(1, 96, 11, stride=4), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
            *(nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
            *stack((256, 384, 384, 256), (3, 3, 3), (False, False, False)),
            nn.MaxPool2d(3, stride=2),
            nn.Flatten(),
            *(nn.Linear(256 * 4 * 4, 512), nn.ReLU(inplace=True), nn.Dropout()),
            *(nn.Linear(512, 512), nn.ReLU(inplace=True), nn.Dropout()),
            nn.Linear(512, answers),
        )
    )


def five_layers(answers: int) -> nn.Sequential:
    """Make the AlexNet-like network's baseline: three convolutions and two dense layers, for grey images of 169 px.

    Its kernels and widths are not known here; these are usual ones.
    """
    return begun(
        nn.Sequential(
            *(nn.Conv2d(1, 32, 5, stride=2, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
            *stack((32, 64, 64), (5, 3), (True, True)),
            nn.Flatten(),
            *(nn.Linear(64 * 10 * 10, 256), nn.ReLU(inplace=True), nn.Dropout()),
            nn.Linear(256, answers),
        )
    )


def six_convolutions(columns: int) -> nn.Sequential:
    """Make the network of six convolutions and two dense layers, for grey images of 150 px.

    Where it pools is not known; here it pools after every convolution but the third.
    """
    return begun(
        nn.Sequential(
            *stack((1, 32, 32, 64, 64, 128, 256), (7, 7, 5, 5, 3, 3), (True, True, False, True, True, True)),
            nn.Flatten(),
            *(nn.Linear(256 * 4 * 4, 512), nn.ReLU(inplace=True), nn.Dropout()),
            *(nn.Linear(512, 256), nn.ReLU(inplace=True), nn.Dropout()),
            nn.Linear(256, columns),
        )
    )


def small(columns: int) -> nn.Sequential:
    """Make a small network for colour images of 64 px: four convolutions and one dense layer."""
    return begun(
        nn.Sequential(
            *stack((3, 32, 64, 128, 128), (5, 3, 3, 3), (True, True, True, True)),
            nn.Flatten(),
            *(nn.Linear(128 * 4 * 4, 256), nn.ReLU(inplace=True), nn.Dropout()),
            nn.Linear(256, columns),
        )
    )


def fully_convolutional(columns: int, dropout: float = 0.0) -> nn.Sequential:
    """Make a network of convolutions only, for colour images of any size: strides in place of poolings, no dense layer.

    Parameters
    ----------
    columns : int
        Raw outputs.
    dropout : float
        Part of the features that is left out at random in training.

    References
    ----------
    Springenberg et al. 2015, ICLR workshop, "Striving for Simplicity: The All Convolutional Net".
    """
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise((3, 32, 64, 128, 256)):
        for start, stride in ((inputs, 2), (outputs, 1)):
            layers += [
                nn.Conv2d(start, outputs, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
    # Whole channels: the last convolution and the mean are linear, so that this is dropout of pooled features.
    layers.append(nn.Dropout2d(dropout))
    return nn.Sequential(*layers, nn.Conv2d(256, columns, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
