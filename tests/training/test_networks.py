"""The network: ImageNet's weights fit it, and whatever it computes comes out consistent."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from galaxytree.decision_tree import load_tree
from tests.training.galaxies import draw
from training.networks.classifier import NETWORKS, GalaxyClassifier, View, ViewClassifier
from training.networks.efficientnet_lite import VARIANTS, EfficientNetLite, load_imagenet
from training.networks.smoothing import smoothed
from training.networks.tree_head import TreeHead
from training.settings import TrainSettings

TREE = load_tree("galaxy-zoo-2")
CANDELS = load_tree("candels")

some_examples = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])

# TensorFlow's figures for the whole networks, less the 1,281,000 of ImageNet's classifier.
PARAMETERS = {"efficientnet-lite0": 3_371_008, "efficientnet-lite1": 4_135_680, "efficientnet-lite2": 4_811_072}


def published(variant: str) -> dict[str, torch.Tensor]:
    package = importlib.import_module(VARIANTS[variant].package)
    (path,) = (Path(str(package.__file__)).parent / "models").glob("*.pth")
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return weights


@pytest.mark.parametrize("variant", VARIANTS)
def test_imagenet_weights_are_loaded_whole(variant: str) -> None:
    network = EfficientNetLite(variant)
    load_imagenet(network, variant)
    loaded = network.state_dict()
    original = {name: value for name, value in published(variant).items() if not name.startswith("_fc.")}
    assert len(loaded) == len(original)
    # The two list their layers in the same order, under other names.
    for (name, value), (its_name, its_value) in zip(loaded.items(), original.items(), strict=True):
        assert torch.equal(value, its_value), (name, its_name)
    assert sum(each.numel() for each in network.parameters()) == PARAMETERS[variant]


def test_imagenet_weights_tell_one_picture_from_another() -> None:
    network = EfficientNetLite("efficientnet-lite0").eval()
    load_imagenet(network, "efficientnet-lite0")
    pictures = [draw(thin=thin, seed=seed, size=64) for thin, seed in ((True, 1), (True, 2), (False, 3), (False, 4))]
    with torch.inference_mode():
        features = network((torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() - 127) / 128)
    assert features.shape == (4, network.features)
    assert torch.isfinite(features).all()
    alike = torch.nn.functional.cosine_similarity(features[:, None], features[None], dim=2)
    assert alike[2, 3] > alike[0, 2]
    assert alike[0, 1] > alike[0, 2]


def test_the_networks_that_can_be_trained_are_those_there_are() -> None:
    (choice,) = [field.annotation for name, field in TrainSettings.model_fields.items() if name == "network"]
    assert choice is not None
    assert choice.__args__ == NETWORKS


@pytest.mark.parametrize(("height", "width"), [(32, 32), (65, 47)])
def test_pictures_of_any_size_give_as_many_features(height: int, width: int) -> None:
    network = EfficientNetLite("efficientnet-lite0").eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, height, width)).shape == (2, network.features)


# The tree as a layer.


@some_examples
@given(arrays(np.float64, (3, 37), elements=st.floats(-30, 30)))
def test_the_head_is_the_trees_own_normalisation(logits: NDArray[np.float64]) -> None:
    scores = TreeHead(TREE)(torch.from_numpy(logits)).numpy()
    np.testing.assert_allclose(scores, TREE.normalise(np.exp(logits)), rtol=0, atol=1e-6)
    assert scores.dtype == np.float32


@some_examples
@given(arrays(np.float32, (2, 37), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_whatever_comes_in_adds_up(logits: NDArray[np.float32]) -> None:
    TREE.check(TreeHead(TREE)(torch.from_numpy(logits)).numpy(), tolerance=1e-6)


@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_questions_do_not_drown_each_other(scale: float) -> None:
    # The largest of all would leave nothing of the others: each question is taken by itself.
    logits = torch.full((1, 37), -scale)
    logits[0, TREE.slices["Q1"]] = torch.tensor([0.0, scale, 0.0])
    scores = TreeHead(TREE)(logits)[0]
    assert scores[TREE.slices["Q1"]].tolist() == [0, 1, 0]
    assert scores[TREE.slices["Q2"]].tolist() == [0.5, 0.5]
    assert scores[TREE.slices["Q11"]].tolist() == pytest.approx([1 / 24] * 6, abs=1e-7)


def test_arithmetic_in_bf16_adds_up_as_well() -> None:
    logits = torch.randn(64, 37, generator=torch.Generator().manual_seed(1)).mul(5).bfloat16()
    scores = TreeHead(TREE)(logits)
    assert scores.dtype == torch.float32
    TREE.check(scores.numpy(), tolerance=1e-6)


@some_examples
@given(arrays(np.float64, (3, 5), elements=st.floats(-30, 30)))
def test_independent_fractions_go_through_a_sigmoid(logits: NDArray[np.float64]) -> None:
    scores = TreeHead(CANDELS)(torch.from_numpy(logits)).numpy()
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=0, atol=1e-6)


def test_gradients_reach_every_logit() -> None:
    logits = torch.zeros(1, 37, requires_grad=True)
    (TreeHead(TREE)(logits) * torch.arange(37)).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad != 0).sum() >= 36


# From pixels to scores.


def test_the_plain_view_is_the_centre() -> None:
    images = torch.randint(0, 256, (2, 20, 20, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(View(12, 12)(images), images[:, 4:16, 4:16].permute(0, 3, 1, 2).float())
    halved = View(12, 6)(images)
    means = images[:, 4:16, 4:16].float().reshape(2, 6, 2, 6, 2, 3).mean(dim=(2, 4)).permute(0, 3, 1, 2)
    torch.testing.assert_close(halved, means)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_first_convolution_smooths_by_itself(network: str) -> None:
    torch.manual_seed(1)
    plain = ViewClassifier(TREE, network).eval()
    wider, weight = smoothed(plain, 0.1).eval(), 0.1
    first, its = (
        next(each for each in one.backbone.modules() if isinstance(each, torch.nn.Conv2d)) for one in (plain, wider)
    )
    pictures = torch.rand(2, 3, 64, 64)
    # Each pixel with its neighbours along rows, and then along columns, and those that lie around the picture as well.
    padded = torch.nn.functional.pad(pictures, (2, 2, 2, 2))
    rows = weight * (padded[..., :-2] + padded[..., 2:]) + (1 - 2 * weight) * padded[..., 1:-1]
    smooth = weight * (rows[..., :-2, :] + rows[..., 2:, :]) + (1 - 2 * weight) * rows[..., 1:-1, :]
    with torch.inference_mode():
        # The plane is wider than the picture by a pixel already, which stands for one of the zeros that are padded.
        plane = torch.nn.functional.pad(smooth, [int(first.padding[0]) - 1] * 4)
        wanted, found = torch.nn.functional.conv2d(plane, first.weight, stride=first.stride), its(pictures)
        assert found.shape == wanted.shape == first(pictures).shape
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(found, first(pictures), atol=1e-3)


@pytest.mark.parametrize(
    "other",
    [
        {"bias": True}, {"groups": 3, "out_channels": 6}, {"dilation": 2}, {"padding_mode": "reflect"},
        {"padding": "same"}, {"padding": (0, 1)}, {"kernel_size": (3, 5)}, {"stride": (1, 2)},
    ],
    ids=str,
)  # fmt: skip
def test_a_first_convolution_that_can_not_smooth_is_refused(other: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"in_channels": 3, "out_channels": 8, "kernel_size": 3, "padding": 1, "bias": False}
    network = ViewClassifier(TREE, "efficientnet-lite0")
    name = next(name for name, each in network.backbone.named_modules() if isinstance(each, torch.nn.Conv2d))
    network.backbone.set_submodule(name, torch.nn.Conv2d(**plain))
    smoothed(network, 0.1)
    network.backbone.set_submodule(name, torch.nn.Conv2d(**plain | other))
    with pytest.raises(ValueError, match=r"has no bias, groups or dilation, .* not into Conv2d\(3, "):
        smoothed(network, 0.1)


def test_what_is_not_smoothed_is_the_network_itself() -> None:
    plain = ViewClassifier(TREE, "efficientnet-lite0")
    assert smoothed(plain, 0.0) is plain
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    smoothed(plain, 0.1)
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())


@pytest.mark.parametrize("tree", [TREE, CANDELS], ids=lambda tree: tree.name)
def test_images_come_out_as_scores_of_the_tree(tree: object) -> None:
    assert tree in {TREE, CANDELS}
    chosen = TREE if tree == TREE else CANDELS
    network = GalaxyClassifier(View(48, 32), ViewClassifier(chosen, "efficientnet-lite0", dropout=0.5)).eval()
    images = torch.from_numpy(np.stack([draw(thin=True, seed=1, size=64)] * 2))
    with torch.inference_mode():
        scores = network(images)
    assert scores.shape == (2, len(chosen.columns))
    assert torch.equal(scores[0], scores[1])
    chosen.check(scores.numpy())


def test_dropout_is_for_training_only() -> None:
    network = ViewClassifier(TREE, "efficientnet-lite0", dropout=0.9)
    network.load_imagenet()
    views = torch.from_numpy(draw(thin=True, seed=1, size=64)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        network.eval()
        assert torch.equal(network(views), network(views))
        network.dropout.train()
        assert not torch.equal(network(views), network(views))
