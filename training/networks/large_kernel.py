"""A residual network with large kernels, to be trained from scratch.

References
----------
Liu et al. 2022, CVPR, "A ConvNet for the 2020s": 7x7 depthwise convolutions, then two of 1x1 with four times as many
channels between them. Here with batch normalisation and ReLU, which cost a CPU less than the originals.
"""

from torch import Tensor, nn

from training.networks.depthwise import DepthwiseConv2d

_WIDTHS = (48, 96, 192, 384)
_DEPTHS = (2, 2, 6, 2)
_KERNEL = 7
_EXPANSION = 4


class LargeKernelBlock(nn.Module):
    """Filter each channel over 7x7 pixels, mix the channels, add to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Of 0 at first, so that a deep network begins as a shallow one.
        last = nn.BatchNorm2d(channels)
        nn.init.zeros_(last.weight)
        self.branch = nn.Sequential(
            DepthwiseConv2d(channels, _KERNEL),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels * _EXPANSION, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels * _EXPANSION, channels, 1, bias=False),
            last,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map [N, channels, H, W] to the same."""
        filtered: Tensor = self.branch(images)
        return images + filtered


class LargeKernelNetwork(nn.Module):
    """The network up to its pooled features [N, `features`]."""

    features = _WIDTHS[-1]

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        inputs = 3
        for number, (width, depth) in enumerate(zip(_WIDTHS, _DEPTHS, strict=True)):
            scale = 4 if number == 0 else 2
            parts += [nn.Conv2d(inputs, width, scale, scale, bias=False), nn.BatchNorm2d(width)]
            parts += [LargeKernelBlock(width) for _ in range(depth)]
            inputs = width
        self.stages = nn.Sequential(*parts)

    def forward(self, images: Tensor) -> Tensor:
        """Map float images [N, 3, H, W], scaled to about -1 to 1, to features [N, 384]."""
        return self.with_levels(images)[0]

    def with_levels(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the features, and what each stage hands to the next: [N, channels, height, width]."""
        levels = []
        seen = images
        for part in self.stages:
            if isinstance(part, nn.Conv2d) and seen is not images:
                levels.append(seen)
            seen = part(seen)
        levels.append(seen)
        features: Tensor = seen.mean(dim=(2, 3))
        return features, levels
