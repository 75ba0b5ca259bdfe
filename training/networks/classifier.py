"""The whole network, from the bytes of pixels to scores: what is trained, evaluated and exported."""

from torch import Tensor, nn

from galaxytree.decision_tree import DecisionTree
from training.networks.efficientnet_lite import FEATURES, VARIANTS, EfficientNetLite, load_imagenet
from training.networks.tree_head import TreeHead

NETWORKS = tuple(VARIANTS)

# EfficientNet-Lite was trained on (pixel - 127) / 128.
_PIXEL_MEAN = 127.0
_PIXEL_SCALE = 128.0


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
    dropout : float
        Part of the features that is left out at random in training.
    """

    def __init__(self, tree: DecisionTree, network: str, dropout: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.backbone = EfficientNetLite(network)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(FEATURES, len(tree.columns))
        self.scores = TreeHead(tree)

    def load_imagenet(self) -> None:
        """Start the backbone from ImageNet weights."""
        load_imagenet(self.backbone, self.network)

    def forward(self, views: Tensor) -> Tensor:
        """Map views [N, 3, resolution, resolution], 0 to 255, to scores float32 [N, columns]."""
        features = self.backbone((views - _PIXEL_MEAN) / _PIXEL_SCALE)
        scores: Tensor = self.scores(self.classifier(self.dropout(features)))
        return scores


class GalaxyClassifier(nn.Module):
    """Images to scores: what is evaluated and exported.

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
