"""The ways from logits to scores: which of them add up, and how each treats a tree."""

import numpy as np
import pytest
import torch

from galaxytree.decision_tree import load_tree
from training.networks.classifier import NETWORKS, ViewClassifier
from training.networks.outputs import OUTPUTS, Divided, ProjectedSigmoid, Sigmoid, Temperature
from training.networks.tree_head import TreeHead
from training.settings import TrainSettings

TREE = load_tree("galaxy-zoo-2")
CANDELS = load_tree("candels")


def logits(columns: int, scale: float = 3) -> torch.Tensor:
    return torch.randn(16, columns, generator=torch.Generator().manual_seed(1)) * scale


def test_the_outputs_that_can_be_trained_are_those_there_are() -> None:
    choice = TrainSettings.model_fields["output"].annotation
    assert choice is not None
    assert set(choice.__args__) == set(OUTPUTS)


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("tree", [TREE, CANDELS], ids=lambda tree: tree.name)
def test_scores_are_finite_and_all_logits_are_learnt_from(name: str, tree: object) -> None:
    output = OUTPUTS[name](tree)  # type: ignore[arg-type]
    given = logits(len(output.tree.columns), 0.1).requires_grad_()
    scores = output(given)
    assert scores.shape == given.shape
    assert scores.dtype == torch.float32
    assert torch.isfinite(scores).all()
    (scores * torch.arange(1, 1 + given.shape[1]) ** 2).sum().backward()
    assert given.grad is not None
    assert (given.grad != 0).any(dim=0).all()


@pytest.mark.parametrize("name", OUTPUTS)
def test_those_that_say_so_are_consistent(name: str) -> None:
    scores = OUTPUTS[name](TREE)(logits(37)).detach().numpy()
    off = np.abs(TREE.violations(scores)).max()
    assert (off < 1e-5) == (OUTPUTS[name].consistent or name == "sigmoid-projected")
    assert OUTPUTS[name].consistent == (off < 1e-5 and bool((scores >= 0).all()))


def test_a_temperature_of_one_changes_nothing_and_a_high_one_levels_out() -> None:
    output = Temperature(TREE)
    given = logits(37)
    torch.testing.assert_close(output(given), TreeHead(TREE)(given))
    with torch.no_grad():
        output.logarithm[0] = 10.0
    levelled = output(given)[:, TREE.slices["Q1"]]
    torch.testing.assert_close(levelled, torch.full_like(levelled, 1 / 3), rtol=0, atol=1e-3)


def test_projection_takes_the_nearest_point_that_adds_up() -> None:
    given = logits(37)
    scores, raw = ProjectedSigmoid(TREE)(given), Sigmoid(TREE)(given)
    # Whatever adds up lies at a right angle to the way there.
    other = TreeHead(TREE)(logits(37, 1))
    across = ((raw - scores) * (other - scores)).sum(dim=1)
    torch.testing.assert_close(across, torch.zeros(16), rtol=0, atol=1e-4)


def test_division_shares_a_question_by_its_rectified_numbers() -> None:
    given = torch.full((1, 37), -5.0)
    given[0, TREE.index["Class1.1"]] = 2.0
    given[0, TREE.index["Class1.2"]] = 0.0
    scores = Divided(TREE)(given)[0]
    assert scores[TREE.index["Class1.1"]].item() == pytest.approx(0.75, abs=1e-5)
    assert scores[TREE.index["Class1.2"]].item() == pytest.approx(0.25, abs=1e-5)
    assert scores[TREE.slices["Q7"]].tolist() == pytest.approx([0.25] * 3, abs=1e-5), "nothing said: equal shares"


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_maps_views_to_scores(network: str) -> None:
    classifier = ViewClassifier(TREE, network).eval()
    with torch.inference_mode():
        scores = classifier(torch.rand(2, 3, 64, 64) * 255).numpy()
    TREE.check(scores, tolerance=1e-5)


def test_there_are_no_imagenet_weights_for_the_large_kernels() -> None:
    with pytest.raises(ValueError, match="no ImageNet weights for large-kernel"):
        ViewClassifier(TREE, "large-kernel").load_imagenet()
    with pytest.raises(ValueError, match="add --no-imagenet"):
        TrainSettings(network="large-kernel")
