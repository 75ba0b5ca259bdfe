"""The systems that are compared, a few lines each."""

from functools import partial

from torch import Tensor, nn

from galaxytree.decision_tree import DecisionTree
from training.compare.system import System, cross_entropy
from training.compare.views import AsOurs, View, average_colour, central_pixel, nothing
from training.networks.classic.dense import densenet
from training.networks.classic.maxout import SIDE, MaxoutNetwork
from training.networks.classic.plain import (
    alexnet_like,
    five_layers,
    fully_convolutional,
    six_convolutions,
    small,
)
from training.networks.classic.regression import Regression
from training.networks.classic.residual import resnet
from training.networks.classifier import ViewClassifier
from training.networks.outputs import OUTPUTS

FIRST_QUESTION = "Q1"

# Of the features that the last layer sees, in ours and in those that are to differ from it by nothing but the network.
_DROPOUT = 0.2


class Fractions(nn.Module):
    """The fractions of one question's answers: a softmax, in float32."""

    def forward(self, outputs: Tensor) -> Tensor:
        """Map [N, answers] to fractions [N, answers], which add up to 1."""
        return outputs.float().softmax(dim=1)


def _columns(tree: DecisionTree) -> int:
    return len(tree.columns)


def _answers(tree: DecisionTree) -> int:
    return len(tree.question(FIRST_QUESTION).answers)


def _with(output: str, network: nn.Module, tree: DecisionTree) -> nn.Module:
    return nn.Sequential(network, OUTPUTS[output](tree))


def _resnet(name: str, tree: DecisionTree) -> nn.Module:
    return _with("softmax-tree", resnet(name, _columns(tree), _DROPOUT), tree)


def _ours(tree: DecisionTree) -> ViewClassifier:
    network = ViewClassifier(tree, "efficientnet-lite0", dropout=_DROPOUT)
    network.load_imagenet()
    return network


# What ours sees in training and in measuring, from 0 to 1, as is usual for networks that start from random weights.
_AS_OURS = AsOurs(brightest=1.0)
_PARTS = View(crop=207, size=SIDE, parts=True, rotation=180, zoom=1.3, shift=4)
_GREY_169 = View(crop=169, size=169, grey=True)

_ALL = (
    System(
        name="column-means",
        what="the mean of every column, whatever the image",
        look=nothing,
        network=lambda tree: Regression(0, _columns(tree)),
        published="RMSE 0.164",
        learning_rate=None,
    ),
    System(
        name="central-pixel",
        what="linear regression on the colour of the central pixel",
        look=central_pixel,
        network=lambda tree: Regression(3, _columns(tree)),
        reference="Kaggle's benchmark, which groups by that colour",
        published="RMSE 0.162",
        learning_rate=None,
    ),
    System(
        name="average-colour",
        what="linear regression on the mean colour",
        look=average_colour,
        network=lambda tree: Regression(3, _columns(tree)),
        learning_rate=None,
    ),
    System(
        name="five-layers",
        what="three convolutions and two dense layers, 169 px, grey; a softmax for question 1",
        look=_GREY_169,
        network=lambda tree: nn.Sequential(five_layers(_answers(tree)), Fractions()),
        reference="the baseline of alexnet-like",
        published="accuracy 0.78",
        question=FIRST_QUESTION,
        loss=cross_entropy,
    ),
    System(
        name="alexnet-like",
        what="AlexNet with dense layers of 512, 169 px, grey; a softmax for question 1",
        look=_GREY_169,
        network=lambda tree: nn.Sequential(alexnet_like(_answers(tree)), Fractions()),
        reference="after Krizhevsky et al. 2012",
        published="accuracy 0.84",
        question=FIRST_QUESTION,
        loss=cross_entropy,
        learning_rate=3e-4,
    ),
    System(
        name="six-convolutions",
        what="six convolutions, the region of interest at 150 px, grey; 37 sigmoids",
        look=View(crop=0, size=150, grey=True, region=True),
        network=lambda tree: _with("sigmoid", six_convolutions(_columns(tree)), tree),
        published="RMSE 0.0926",
        learning_rate=5e-4,
    ),
    System(
        name="small-cnn",
        what="four convolutions, 64 px from 256, rotations to 90 degrees; 37 sigmoids",
        look=View(crop=256, size=64, turns=False, rotation=90),
        network=lambda tree: _with("sigmoid", small(_columns(tree)), tree),
    ),
    System(
        name="maxout-16-parts",
        what="four convolutions on 16 parts of 45 px, two maxout layers; rectified outputs divided by their sums",
        look=_PARTS,
        network=lambda tree: _with("rectified-divided", MaxoutNetwork(_columns(tree)), tree),
        reference="Dieleman, Willett & Dambre 2015; Huertas-Company et al. 2015",
        published="RMSE 0.0769",
        learning_rate=2e-4,
    ),
    System(
        name="maxout-16-parts-candels",
        what="the same with the five sigmoids of the tree `candels`, on **made-up galaxies**",
        look=_PARTS,
        network=lambda tree: _with("sigmoid", MaxoutNetwork(_columns(tree)), tree),
        reference="Huertas-Company et al. 2015",
        learning_rate=2e-4,
        made_up=True,
    ),
    System(
        name="fully-convolutional",
        what="nine convolutions, no dense layer, 112 px",
        look=_AS_OURS,
        network=lambda tree: _with("softmax-tree", fully_convolutional(_columns(tree), _DROPOUT), tree),
        reference="after Springenberg et al. 2015",
        learning_rate=2e-3,
    ),
    *(
        System(
            name=name,
            what=f"ResNet-{name.partition('-')[2]} from scratch, 112 px",
            look=_AS_OURS,
            network=partial(_resnet, name),
            reference="He et al. 2016",
        )
        for name in ("resnet-18", "resnet-34", "resnet-50")
    ),
    System(
        name="densenet-121",
        what="DenseNet-121 from scratch, 112 px",
        look=_AS_OURS,
        network=lambda tree: _with("softmax-tree", densenet(_columns(tree), _DROPOUT), tree),
        reference="Huang et al. 2017",
    ),
    System(
        name="ours",
        what="EfficientNet-Lite0 from ImageNet, 112 px, a softmax for each question",
        look=AsOurs(),
        network=_ours,
    ),
)

SYSTEMS = {system.name: system for system in _ALL}
"""Name -> system, in the order of the table."""
