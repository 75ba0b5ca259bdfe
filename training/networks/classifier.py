"""The whole network, from the bytes of pixels to scores: what is trained, evaluated and exported."""

import torch
from torch import Tensor, nn

from galaxytree.decision_tree import DecisionTree
from training.networks.efficientnet_lite import VARIANTS, EfficientNetLite, load_imagenet
from training.networks.error_bars import ErrorBars
from training.networks.large_kernel import LargeKernelNetwork
from training.networks.out_of_domain import OutOfDomain
from training.networks.outputs import OUTPUTS

LARGE_KERNEL = "large-kernel"
NETWORKS = (*VARIANTS, LARGE_KERNEL)

# EfficientNet-Lite was trained on (pixel - 127) / 128.
_PIXEL_MEAN = 127.0
_PIXEL_SCALE = 128.0
_SMALL = 1e-6


class View(nn.Module):
    """The plain view of an image: its centre, at the network's resolution.

    Parameters
    ----------
    crop : int
        Side of the centre that is looked at, in pixels of the input.
    resolution : int
        Side of what the network sees, in pixels.
    """

    def __init__(self, crop: int, resolution: int) -> None:
        super().__init__()
        self.crop = crop
        self.resolution = resolution

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images [N, H, W, 3] to float [N, 3, resolution, resolution], 0 to 255."""
        top, left = (images.shape[1] - self.crop) // 2, (images.shape[2] - self.crop) // 2
        centre = images[:, top : top + self.crop, left : left + self.crop, :].permute(0, 3, 1, 2).float()
        if self.crop == self.resolution:
            return centre
        return nn.functional.interpolate(
            centre, size=(self.resolution, self.resolution), mode="bilinear", align_corners=False
        )


class ViewClassifier(nn.Module):
    """A view of a galaxy to the scores of a decision tree: what is trained.

    Parameters
    ----------
    tree : DecisionTree
    network : str
        One of `NETWORKS`.
    output : str
        One of `training.networks.outputs.OUTPUTS`.
    dropout : float
        Part of the features that is left out at random in training.
    """

    def __init__(self, tree: DecisionTree, network: str, output: str = "softmax-tree", dropout: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.backbone = LargeKernelNetwork() if network == LARGE_KERNEL else EfficientNetLite(network)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.backbone.features, len(tree.columns))
        self.scores = OUTPUTS[output](tree)

    def load_imagenet(self) -> None:
        """Start the backbone from ImageNet weights; ValueError if there are none for this network."""
        if not isinstance(self.backbone, EfficientNetLite):
            msg = f"there are no ImageNet weights for {self.network}; train it with --no-imagenet"
            raise ValueError(msg)  # noqa: TRY004  (it is the value of a setting that is wrong)
        load_imagenet(self.backbone, self.network)

    def features(self, views: Tensor) -> Tensor:
        """Map views [N, 3, resolution, resolution], 0 to 255, to pooled features [N, features]."""
        features: Tensor = self.backbone((views - _PIXEL_MEAN) / _PIXEL_SCALE)
        return features

    def with_statistics(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Map views to features [N, features], and to the mean and spread of every channel: [N, statistics].

        They are those of each stage of the network and of the features themselves.
        """
        features, levels = self.backbone.with_levels((views - _PIXEL_MEAN) / _PIXEL_SCALE)
        # By the mean of the squares: one way through each level, and one subtraction for all of them together. The few
        # digits that it loses are far below what a spread differs by from galaxy to galaxy.
        means = torch.cat([_pooled(level) for level in levels], dim=1).flatten(1)
        squares = torch.cat([_pooled(level * level) for level in levels], dim=1).flatten(1)
        spreads = ((squares - means * means).clamp(min=0) + _SMALL).sqrt()
        return features, torch.cat([means, spreads, features], dim=1)

    def forward(self, views: Tensor) -> Tensor:
        """Map views [N, 3, resolution, resolution], 0 to 255, to scores float32 [N, columns]."""
        return self.scored(self.dropout(self.features(views)))

    def scored(self, features: Tensor) -> Tensor:
        """Map features [N, features] to scores float32 [N, columns]."""
        scores: Tensor = self.scores(self.classifier(features))
        return scores


def _pooled(level: Tensor) -> Tensor:
    return level.mean(dim=(2, 3), keepdim=True)


class GalaxyClassifier(nn.Module):
    """Images to scores: what is evaluated.

    Parameters
    ----------
    view : View
    classifier : ViewClassifier
    """

    def __init__(self, view: View, classifier: ViewClassifier) -> None:
        super().__init__()
        self.view = view
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images [N, H, W, 3] to scores float32 [N, columns]."""
        scores: Tensor = self.classifier(self.view(images))
        return scores


class CalibratedClassifier(nn.Module):
    """Images to scores, their error bars, and how unlike the known galaxies they are: what is exported.

    Parameters
    ----------
    view : View
    classifier : ViewClassifier
    error_bars : ErrorBars
    out_of_domain : OutOfDomain
    """

    def __init__(
        self, view: View, classifier: ViewClassifier, error_bars: ErrorBars, out_of_domain: OutOfDomain
    ) -> None:
        super().__init__()
        self.view = view
        self.classifier = classifier
        self.error_bars = error_bars
        self.out_of_domain = out_of_domain

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map uint8 images [N, H, W, 3] to scores and two half widths, [N, columns] each, and numbers [N]."""
        features, statistics = self.classifier.with_statistics(self.view(images))
        scores = self.classifier.scored(features)
        return scores, *self.error_bars(features, scores), self.out_of_domain(statistics)
