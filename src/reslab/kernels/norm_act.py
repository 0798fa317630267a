"""y = act(BN(x) + residual) in as few passes over the maps as the arithmetic allows."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from reslab.kernels import library


def norm_act(
    norm: nn.BatchNorm2d, x: Tensor, residual: Tensor | None = None, *, act: bool = True
) -> Tensor:
    """y = relu(BN(x) + residual), with the batch norm's own parameters and statistics.

    Args:
        norm: the batch norm; its running statistics are updated in training mode.
        x: the map that it normalises, (B, C, H, W).
        residual: a map of the same shape to add, or None.
        act: whether the ReLU follows.

    Returns:
        A map of the shape and type of `x`. Where the compiled kernels can't be used, plain
        torch operations compute it.
    """
    alike = residual is None or (
        residual.dtype == x.dtype and residual.shape == x.shape and residual.is_cpu
    )
    vectors = _vectors(norm, x) if alike and library.fits(x) else None
    if vectors is None:
        return reference(norm, x, residual, act=act)
    if residual is not None:
        residual = residual.contiguous(memory_format=torch.channels_last)
    if not norm.training:
        return _evaluate(norm, vectors, x, residual, act)
    y: Tensor = _NormAct.apply(x, residual, *vectors, norm, act)
    return y


def reference(
    norm: nn.BatchNorm2d, x: Tensor, residual: Tensor | None = None, *, act: bool = True
) -> Tensor:
    """Compute the same with torch's own operations: the definition of `norm_act`."""
    y = nn.BatchNorm2d.forward(norm, x)
    if residual is not None:
        y = y + residual
    return F.relu(y) if act else y


def _vectors(norm: nn.BatchNorm2d, x: Tensor) -> list[Tensor] | None:
    """Return scale, shift, running mean and variance, or None where the kernels can't use them.

    They must be float32 on the CPU, a number for each channel of the map, side by side; and a
    batch must have a variance.
    """
    channels = x.shape[1]
    vectors: list[Tensor] = []
    for vector in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        if (
            vector is None
            or vector.dtype != torch.float32
            or vector.numel() != channels
            or not (vector.is_cpu and vector.is_contiguous())
        ):
            return None
        vectors.append(vector)
    if not norm.track_running_stats or (norm.training and x.numel() == channels):
        return None
    return vectors


class _NormAct(torch.autograd.Function):
    """The training form: statistics of the batch itself, and their gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        residual: Tensor | None,
        scale: Tensor,
        shift: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        norm: nn.BatchNorm2d,
        act: bool,
    ) -> Tensor:
        batches, momentum = norm.num_batches_tracked, norm.momentum
        assert batches is not None
        if momentum is None:  # the average over all batches
            momentum = 1.0 / (float(batches) + 1.0)
        rows, channels = _sizes(x)
        statistics = torch.empty(2, channels, dtype=torch.float32, device="cpu")
        y = torch.empty_like(x)
        library.call(
            f"forward_{library.DTYPES[x.dtype]}",
            x.data_ptr(),
            None if residual is None else residual.data_ptr(),
            y.data_ptr(),
            rows,
            channels,
            scale.data_ptr(),
            shift.data_ptr(),
            *_rows_of(statistics),
            running_mean.data_ptr(),
            running_var.data_ptr(),
            batches.data_ptr(),
            norm.eps,
            momentum,
            act,
        )
        ctx.save_for_backward(x, y if act else None, scale, statistics)
        ctx.added, ctx.act = residual is not None, act
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, y, scale, statistics = ctx.saved_tensors
        g = g.to(x.dtype).contiguous(memory_format=torch.channels_last)
        slopes = torch.empty_like(statistics)
        g_x = torch.empty_like(x)
        own = ctx.added and ctx.act  # without the ReLU the residual's gradient is g itself
        g_residual = torch.empty_like(x) if own else g if ctx.added else None
        library.call(
            f"backward_{library.DTYPES[x.dtype]}",
            g.data_ptr(),
            x.data_ptr(),
            (x if y is None else y).data_ptr(),
            g_residual.data_ptr() if own and g_residual is not None else None,
            g_x.data_ptr(),
            *_sizes(x),
            *_rows_of(statistics),
            scale.data_ptr(),
            *_rows_of(slopes),
            ctx.act,
        )
        g_scale, g_shift = slopes
        return g_x, g_residual, g_scale, g_shift, None, None, None, None


def _evaluate(
    norm: nn.BatchNorm2d, vectors: list[Tensor], x: Tensor, residual: Tensor | None, act: bool
) -> Tensor:
    """Normalise by the running statistics; a function of its inputs that torch can differentiate.

    The pass is fused only where nothing asks for a gradient.
    """
    scale, shift, running_mean, running_var = vectors
    needs_gradient = torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, residual, scale, shift)
    )
    if needs_gradient:
        return reference(norm, x, residual, act=act)
    a = scale * torch.rsqrt(running_var + norm.eps)
    b = shift - running_mean * a
    y = torch.empty_like(x)
    library.call(
        f"apply_{library.DTYPES[x.dtype]}",
        x.data_ptr(),
        None if residual is None else residual.data_ptr(),
        y.data_ptr(),
        *_sizes(x),
        a.data_ptr(),
        b.data_ptr(),
        act,
    )
    return y


def _rows_of(pair: Tensor) -> tuple[int, int]:
    """Return where the two rows of float32 (2, channels) lie."""
    first = pair.data_ptr()
    return first, first + 4 * pair.shape[1]


def _sizes(x: Tensor) -> tuple[int, int]:
    return x.numel() // x.shape[1], x.shape[1]
