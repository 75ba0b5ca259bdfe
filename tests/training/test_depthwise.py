"""The gradients of a depthwise convolution are PyTorch's own, whichever way they are computed."""

import pytest
import torch
from torch.nn import functional

from training.networks.depthwise import DepthwiseConv2d


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [4, 7, 10])
def test_gradients_are_those_of_pytorch(kernel: int, stride: int, side: int) -> None:
    torch.manual_seed(1)
    layer = DepthwiseConv2d(6, kernel, stride).train()
    images = torch.randn(3, 6, side, side + 1, requires_grad=True)

    ours = layer(images)
    theirs = functional.conv2d(images, layer.weight, None, stride, kernel // 2, 1, 6)
    towards = torch.randn_like(ours)

    torch.testing.assert_close(ours, theirs)
    for computed, wanted in zip(
        torch.autograd.grad(ours, (images, layer.weight), towards),
        torch.autograd.grad(theirs, (images, layer.weight), towards),
        strict=True,
    ):
        torch.testing.assert_close(computed, wanted, rtol=1e-5, atol=1e-4)


def test_only_what_is_asked_for_is_computed() -> None:
    layer = DepthwiseConv2d(2, 3).train()
    layer.weight.requires_grad_(requires_grad=False)
    images = torch.randn(1, 2, 4, 4, requires_grad=True)
    layer(images).sum().backward()
    assert images.grad is not None
    assert layer.weight.grad is None


def test_autocast_computes_in_bfloat16() -> None:
    layer = DepthwiseConv2d(2, 5, 2).train()
    images = torch.randn(1, 2, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        filtered = layer(images)
    filtered.float().sum().backward()
    assert filtered.dtype == torch.bfloat16
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32
