"""Residual networks.

References
----------
He et al. 2016, CVPR, "Deep Residual Learning for Image Recognition"; the stride lies on the 3 x 3 convolution of a
bottleneck, as is usual since.
"""

from torch import Tensor, nn

_WIDTHS = (64, 128, 256, 512)

REPEATS = {"resnet-18": (2, 2, 2, 2), "resnet-34": (3, 4, 6, 3), "resnet-50": (3, 4, 6, 3)}
BOTTLENECKS = frozenset({"resnet-50"})


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """Two 3 x 3 convolutions, or a 3 x 3 one between two of 1 x 1, added to what comes in."""

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        layers = (
            [
                *(*_convolution(inputs, width, 1), nn.ReLU(inplace=True)),
                *(*_convolution(width, width, 3, stride), nn.ReLU(inplace=True)),
                *_convolution(width, outputs, 1),
            ]
            if bottleneck
            else [
                *(*_convolution(inputs, width, 3, stride), nn.ReLU(inplace=True)),
                *_convolution(width, width, 3),
            ]
        )
        self.layers = nn.Sequential(*layers)
        changes = stride > 1 or inputs != outputs
        self.shortcut = nn.Sequential(*(_convolution(inputs, outputs, 1, stride) if changes else []))

    def forward(self, images: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        changed: Tensor = self.layers(images) + self.shortcut(images)
        return changed.relu_()


def resnet(name: str, columns: int, dropout: float = 0.0) -> nn.Sequential:
    """Make ResNet-18, -34 or -50 for colour images of any size; its last layer is the classifier.

    Parameters
    ----------
    name : str
        One of `REPEATS`.
    columns : int
        Raw outputs.
    dropout : float
        Part of the pooled features that is left out at random in training; the original leaves none out.
    """
    bottleneck = name in BOTTLENECKS
    layers = [*_convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, (width, repeats) in enumerate(zip(_WIDTHS, REPEATS[name], strict=True)):
        for repeat in range(repeats):
            layers.append(Residual(inputs, width, 2 if stage and not repeat else 1, bottleneck=bottleneck))
            inputs = 4 * width if bottleneck else width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(inputs, columns))
