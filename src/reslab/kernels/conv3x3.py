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
        and conv.stride == conv.padding == conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.bias is None
        and conv.padding_mode == "zeros"
        and conv.in_channels in WIDTHS
        and conv.out_channels in WIDTHS
        and library.has("conv3x3")
    )


def fits(x: Tensor, weight: Tensor) -> bool:
    """Tell whether the compiled form can take this map: bf16, NHWC, eight pixels at a time."""
    return (
        x.dtype == torch.bfloat16
        and weight.dtype == torch.float32
        and library.fits(x)
        and x.shape[3] % 8 == 0
    )


def conv3x3(x: Tensor, weight: Tensor) -> Tensor:
    """y = x * weight, stride 1, padded by a pixel of zeros.

    Weights are rounded to bf16 as they are read, sums are float32, y is rounded once; the
    gradient of the weights is float32 that was never rounded.

    Args:
        x: a map that `fits`, (B, in, H, W).
        weight: float32, (out, in, 3, 3), of a convolution that `takes` accepted.

    Returns:
        bf16, (B, out, H, W), NHWC.
    """
    y: Tensor = _Conv3x3.apply(x, weight)
    return y


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolved(x, weight.data_ptr(), weight.stride(), weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        g = g.to(x.dtype).contiguous(memory_format=torch.channels_last)
        g_x = g_weight = None
        if ctx.needs_input_grad[0]:
            # The same with in and out exchanged and every filter turned by 180 degrees.
            out, inner, row, column = weight.stride()
            last = weight.data_ptr() + weight.element_size() * 2 * (row + column)
            g_x = _convolved(g, last, (inner, out, -row, -column), weight.shape[1])
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
                weight.shape[0],
            )
        return g_x, g_weight


def _convolved(x: Tensor, weight: int, strides: tuple[int, ...], out: int) -> Tensor:
    batch, channels, height, width = x.shape
    y = torch.empty((batch, out, height, width), dtype=x.dtype, memory_format=torch.channels_last)
    library.call(
        "conv3x3",
        x.data_ptr(),
        weight,
        _Strides(*strides),
        y.data_ptr(),
        batch,
        height,
        width,
        channels,
        out,
    )
    return y
