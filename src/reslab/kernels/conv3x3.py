"""3x3 convolutions of narrow maps in bf16, and their gradients, at the processor's pace."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from reslab.kernels import library

WIDTHS = (16, 32, 64)
_Strides = ctypes.c_long * 4


def takes(conv: nn.Conv2d) -> bool:
    """Tell whether a convolution is of the kind that is compiled, whatever it is given."""
    return (
        conv.kernel_size == (3, 3)
        and conv.stride in ((1, 1), (2, 2))
        and conv.padding == conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.bias is None
        and conv.padding_mode == "zeros"
        and conv.in_channels in WIDTHS
        and conv.out_channels in WIDTHS
        and library.has("conv3x3")
    )


def fits(x: Tensor, conv: nn.Conv2d) -> bool:
    """Tell whether the compiled form can take this map: bf16, NHWC, rows of whole tiles.

    The weights must be float32 on the CPU, for as many channels as the map has.
    """
    stride, weight = conv.stride[0], conv.weight
    return (
        x.dtype == torch.bfloat16
        and weight.dtype == torch.float32
        and weight.is_cpu
        and library.fits(x)
        and x.shape[1] == weight.shape[1]
        and x.shape[3] % (8 * stride) == 0
        and x.shape[2] % stride == 0
    )


def conv3x3(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """y = x * weight, padded by a pixel of zeros.

    Weights are rounded to bf16 as they are read, sums are float32, y is rounded once; the
    gradient of the weights is float32 that was never rounded.

    Args:
        x: a map that `fits`, (B, in, H, W).
        weight: float32, (out, in, 3, 3), of a convolution that `takes` accepted.
        stride: 1 or 2.

    Returns:
        bf16, (B, out, H / stride, W / stride), NHWC.
    """
    y: Tensor = _Conv3x3.apply(x, weight, stride)
    return y


def conv3x3_and_input(x: Tensor, weight: Tensor, stride: int = 1) -> tuple[Tensor, Tensor]:
    """Return `conv3x3` and x itself, for a shortcut around what follows.

    The gradient that comes back through the shortcut is added while that of the convolution is
    computed, not in a pass of its own.
    """
    y: Tensor
    y, x = _Conv3x3AndInput.apply(x, weight, stride)
    return y, x


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return _convolved(x, weight, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        return (*_gradients(ctx, g, None), None)


class _Conv3x3AndInput(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        ctx.set_materialize_grads(False)
        return _convolved(x, weight, stride), x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g: Tensor | None, around: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None]:
        if g is None:
            return around, None, None
        return (*_gradients(ctx, g, around), None)


def _convolved(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    batch, _, height, width = x.shape
    y = _map((batch, len(weight), height // stride, width // stride))
    _call(x, weight.data_ptr(), weight.stride(), None, y, stride)
    return y


def _gradients(ctx: Any, g: Tensor, around: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Return those of x (with what came around the convolution added) and of the weights."""
    x, weight = ctx.saved_tensors
    g = _nhwc(g)
    g_x = g_weight = None
    if ctx.needs_input_grad[0]:
        g_x = _map(x.shape)
        around = None if around is None else _nhwc(around)
        out, inner, row, column = weight.stride()
        if ctx.stride == 1:
            # The same with in and out exchanged and every filter turned by 180 degrees.
            last = weight.data_ptr() + weight.element_size() * 2 * (row + column)
            _call(g, last, (inner, out, -row, -column), around, g_x, 1)
        else:
            batch, channels, rows, columns = g.shape
            library.call(
                "conv3x3_back",
                g.data_ptr(),
                weight.data_ptr(),
                _Strides(inner, out, row, column),
                None if around is None else around.data_ptr(),
                g_x.data_ptr(),
                batch,
                rows,
                columns,
                channels,
                x.shape[1],
            )
    if ctx.needs_input_grad[1]:
        g_weight = torch.empty_like(weight)
        batch, channels, height, width = x.shape
        library.call(
            "conv3x3_weights",
            g.data_ptr(),
            x.data_ptr(),
            g_weight.data_ptr(),
            _Strides(*g_weight.stride()),
            batch,
            height,
            width,
            channels,
            len(weight),
            ctx.stride,
        )
    return g_x, g_weight


def _call(
    x: Tensor,
    weight: int,
    strides: tuple[int, ...],
    added: Tensor | None,
    y: Tensor,
    stride: int,
) -> None:
    batch, channels, height, width = x.shape
    library.call(
        "conv3x3",
        x.data_ptr(),
        weight,
        _Strides(*strides),
        None if added is None else added.data_ptr(),
        y.data_ptr(),
        batch,
        height,
        width,
        channels,
        y.shape[1],
        stride,
    )


def _map(shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=torch.bfloat16, device="cpu", memory_format=torch.channels_last)


def _nhwc(g: Tensor) -> Tensor:
    return g.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
