"""Depthwise convolution whose gradients are as fast on a CPU as the convolution itself."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_PIECE = 3


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of each channel by itself, with a square kernel and half of it as padding.

    PyTorch's gradients of it are used everywhere but on a CPU in training: there (2.13, oneDNN 3) the gradient of a
    strided one towards its input, and that of a 5x5 kernel in bfloat16, run through a reference kernel that takes up
    to a hundred times as long as the convolution, and most of a step of EfficientNet-Lite. The results are the same.

    Parameters
    ----------
    channels, kernel, stride : int
        The kernel's side is 3 or 5 in the networks here; any odd one works.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map [N, channels, H, W] to [N, channels, H / stride, W / stride]."""
        if not (self.training and torch.is_grad_enabled() and images.device.type == "cpu"):
            return super().forward(images)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            images, weight = images.to(torch.get_autocast_dtype("cpu")), weight.to(torch.get_autocast_dtype("cpu"))
        filtered: Tensor = _Depthwise.apply(images, weight, self.stride[0])  # type: ignore[no-untyped-call]
        return filtered


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, images: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride = stride  # type: ignore[attr-defined]
        return functional.conv2d(images, weight, None, stride, weight.shape[-1] // 2, 1, weight.shape[0])

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors  # type: ignore[attr-defined]
        stride: int = ctx.stride  # type: ignore[attr-defined]
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        towards_images, towards_weight = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        return (
            _towards_images(gradient, weight, images, stride) if towards_images else None,
            _towards_weight(gradient, weight, images, stride) if towards_weight else None,
            None,
        )


def _towards_images(gradient: Tensor, weight: Tensor, images: Tensor, stride: int) -> Tensor:
    """Convolve with the kernel turned around; a stride left pixels out, whose gradient is 0."""
    if stride > 1:
        spread = torch.zeros_like(images, memory_format=torch.channels_last)
        spread[:, :, ::stride, ::stride] = gradient
        gradient = spread
    return functional.conv2d(gradient, weight.flip((2, 3)), None, 1, weight.shape[-1] // 2, 1, weight.shape[0])


def _towards_weight(gradient: Tensor, weight: Tensor, images: Tensor, stride: int) -> Tensor:
    """Put the gradient of a kernel together from those of its pieces of 3x3, for which there is a fast kernel."""
    channels, side = weight.shape[0], weight.shape[-1]
    pieces = -(-side // _PIECE)
    before, after = side // 2, side // 2 + pieces * _PIECE - side
    padded = functional.pad(images, (before, after, before, after))
    piece = weight.new_empty(channels, 1, _PIECE, _PIECE)
    rows, columns = ((size - 1) * stride + _PIECE for size in gradient.shape[2:])
    whole = weight.new_empty(channels, 1, pieces * _PIECE, pieces * _PIECE)
    for top in range(0, pieces * _PIECE, _PIECE):
        for left in range(0, pieces * _PIECE, _PIECE):
            seen = padded[:, :, top : top + rows, left : left + columns]
            whole[:, :, top : top + _PIECE, left : left + _PIECE] = torch.ops.aten.convolution_backward(
                gradient,
                seen.contiguous(memory_format=torch.channels_last),
                piece,
                None,
                [stride, stride],
                [0, 0],
                [1, 1],
                False,  # noqa: FBT003  (as its signature has it: not transposed)
                [0, 0],
                channels,
                [False, True, False],
            )[1]
    return whole[:, :, :side, :side]
