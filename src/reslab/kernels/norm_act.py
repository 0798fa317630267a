"""y = act(BN(x) + residual) in as few passes over the maps as the arithmetic allows."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from reslab.errors import MachineError
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
    alike = residual is None or (residual.dtype == x.dtype and residual.shape == x.shape)
    if not (alike and library.fits(x) and norm.affine and norm.track_running_stats):
        return reference(norm, x, residual, act=act)
    if residual is not None:
        residual = residual.contiguous(memory_format=torch.channels_last)
    if not norm.training:
        return _evaluate(norm, x, residual, act)
    y: Tensor
    y, mean, var = _NormAct.apply(x, residual, norm.weight, norm.bias, norm.eps, act)
    _update_statistics(norm, mean, var, x.numel() // x.shape[1])
    return y


def reference(
    norm: nn.BatchNorm2d, x: Tensor, residual: Tensor | None = None, *, act: bool = True
) -> Tensor:
    """Compute the same with torch's own operations: the definition of `norm_act`."""
    y = nn.BatchNorm2d.forward(norm, x)
    if residual is not None:
        y = y + residual
    return F.relu(y) if act else y


class _NormAct(torch.autograd.Function):
    """The training form: statistics of the batch itself, and their gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        residual: Tensor | None,
        scale: Tensor,
        shift: Tensor,
        eps: float,
        act: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        channels = x.shape[1]
        mean, var = torch.empty(2, channels)
        _check(_call("moments", x, _map(x), *_sizes(x), _floats(mean), _floats(var)))
        invstd = torch.rsqrt(var + eps)
        a = scale * invstd
        y = torch.empty_like(x)
        _apply(x, residual, y, a, shift - mean * a, act)
        ctx.save_for_backward(x, y if act else None, scale, mean, invstd)
        ctx.added, ctx.act = residual is not None, act
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, *_statistics: Tensor) -> tuple[Tensor | None, ...]:
        x, y, scale, mean, invstd = ctx.saved_tensors
        g = g.to(x.dtype).contiguous(memory_format=torch.channels_last)
        g_scale, g_shift = torch.empty(2, x.shape[1])
        g_x = torch.empty_like(x)
        own = ctx.added and ctx.act  # without the ReLU the residual's gradient is g itself
        g_residual = torch.empty_like(x) if own else g if ctx.added else None
        _check(
            _call(
                "backward",
                x,
                _map(g),
                _map(x),
                _map(x if y is None else y),
                _map(g_residual if own else None),
                _map(g_x),
                *_sizes(x),
                *(_floats(t) for t in (mean, invstd, scale, g_scale, g_shift)),
                ctypes.c_int(ctx.act),
            )
        )
        return g_x, g_residual, g_scale, g_shift, None, None


def _evaluate(norm: nn.BatchNorm2d, x: Tensor, residual: Tensor | None, act: bool) -> Tensor:
    """Normalise by the running statistics; a function of its inputs that torch can differentiate.

    The pass is fused only where nothing asks for a gradient.
    """
    needs_gradient = torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, residual, norm.weight, norm.bias)
    )
    if needs_gradient:
        return reference(norm, x, residual, act=act)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    a = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    y = torch.empty_like(x)
    _apply(x, residual, y, a, norm.bias - norm.running_mean * a, act)
    return y


def _update_statistics(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, count: int) -> None:
    """Move the running statistics as `nn.BatchNorm2d` does: the variance is the unbiased one."""
    with torch.no_grad():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
        momentum = norm.momentum
        if momentum is None:
            momentum = 1.0 / float(norm.num_batches_tracked)
        unbiased = count / max(1, count - 1)
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(var * unbiased, momentum)


def _apply(x: Tensor, residual: Tensor | None, y: Tensor, a: Tensor, b: Tensor, act: bool) -> None:
    a, b = a.float().contiguous(), b.float().contiguous()
    added = None if residual is None else _map(residual)
    _call(
        "apply", x, _map(x), added, _map(y), *_sizes(x), _floats(a), _floats(b), ctypes.c_int(act)
    )


def _call(name: str, like: Tensor, *arguments: Any) -> int:
    kernels = library.load()
    assert kernels is not None
    code: int = getattr(kernels, f"reslab_{name}_{library.DTYPES[like.dtype]}")(*arguments)
    return code


def _check(code: int) -> None:
    if code:
        raise MachineError("out of memory", remedy="use a smaller batch")


def _map(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _floats(tensor: Tensor) -> ctypes.c_void_p:
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    return ctypes.c_void_p(tensor.data_ptr())


def _sizes(x: Tensor) -> tuple[ctypes.c_long, ctypes.c_long]:
    return ctypes.c_long(x.numel() // x.shape[1]), ctypes.c_long(x.shape[1])
