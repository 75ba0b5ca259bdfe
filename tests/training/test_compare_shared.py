"""What the comparison shares with training and exporting: sizes of networks, schedule and decay."""

import pytest
import torch
from torch import nn

from training.networks.size import Size, size_of
from training.schedule import decayed, schedule


def test_a_size_is_of_one_example() -> None:
    # 2 x 3 x 9 weights and 2 biases at each of 8 x 8 pixels; biases, and what rectifies, are not counted as work.
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU()).eval()
    assert size_of(network, torch.zeros(1, 3, 8, 8)) == Size(2 * 3 * 9 + 2, 2 * 3 * 9 * 64)
    assert size_of(network, torch.zeros(1, 3, 4, 4)).multiply_adds == 2 * 3 * 9 * 16


def test_counting_changes_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    size_of(network, torch.ones(1, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(each.grad is None for each in network.parameters())


@pytest.mark.parametrize(
    ("progress", "warmup", "step_size"),
    [(0, 0.1, 0), (0.05, 0.1, 0.5), (0.1, 0.1, 1), (0.55, 0.1, 0.5), (1, 0.1, 0), (0, 0, 1), (0.5, 0, 0.5)],
)
def test_steps_rise_and_fall(progress: float, warmup: float, step_size: float) -> None:
    assert schedule(progress, warmup) == pytest.approx(step_size, abs=1e-12)


def test_weights_decay_and_what_has_one_axis_does_not() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 4, bias=False))
    weights, others = decayed(network, 0.02)
    assert (weights["weight_decay"], others["weight_decay"]) == (0.02, 0)
    assert [tuple(each.shape) for each in weights["params"]] == [(2, 3, 3, 3), (4, 8)]
    assert [tuple(each.shape) for each in others["params"]] == [(2,), (2,), (2,)]
