"""What a drawing calls a layer or an operation: "3×3 conv, 128, /2"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

OpKind = Literal[
    "image", "conv", "linear", "norm", "act", "pool", "pad", "dropout", "pointwise", "scale",
    "concat", "other",
]  # fmt: skip
_ACTIVATIONS = {"relu": "ReLU", "sigmoid": "σ", "tanh": "tanh", "hardtanh": "ReLU6", "silu": "SiLU"}
_POINTWISE = {"add", "sub", "rsub", "mul", "div", "neg", "lerp"}
_NORMS = {"native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"}
_POOLS = {"max_pool2d_with_indices": "max", "avg_pool2d": "avg", "_adaptive_avg_pool2d": "avg"}


def describe_layer(
    module: nn.Module, before: torch.Tensor, after: torch.Tensor
) -> tuple[OpKind, str] | None:
    """Say what a layer of torch does; None where it does nothing to be drawn."""
    match module:
        case nn.Conv2d():
            width, stride = module.out_channels, module.stride[0]
            return "conv", _conv(module.kernel_size, width, stride, module.groups, before.shape[1])
        case nn.Linear():
            return "linear", f"fc {module.out_features}"
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            return "norm", "BN"
        case nn.Dropout() | nn.Dropout2d():
            return ("dropout", "dropout") if module.p else None
        case nn.MaxPool2d() | nn.AvgPool2d():
            which = "max" if isinstance(module, nn.MaxPool2d) else "avg"
            return "pool", _pool(which, module.kernel_size, module.stride, after)
        case nn.AdaptiveAvgPool2d():
            return ("pool", "avg pool") if before.shape != after.shape else None
        case nn.Identity() | nn.Flatten():
            return None
        case nn.LocalResponseNorm():
            return "norm", "LRN"
        case nn.ZeroPad2d():
            return "pad", "pad"
    name = type(module).__name__
    if name.lower() in _ACTIVATIONS:
        return "act", _ACTIVATIONS[name.lower()]
    return by_name(module)


def describe_call(
    name: str, args: Any, inputs: Sequence[torch.Tensor], result: torch.Tensor
) -> tuple[OpKind, str] | None:
    """Say what an operation outside of torch's layers does; None for views and the like."""
    if name == "convolution":
        weight, stride, groups = args[1], args[3][0], args[8]
        width = weight.shape[0]
        return "conv", _conv(tuple(weight.shape[2:]), width, stride, groups, inputs[0].shape[1])
    if name in ("addmm", "mm", "linear"):
        return "linear", f"fc {result.shape[-1]}"
    if name in _ACTIVATIONS:
        return "act", _ACTIVATIONS[name]
    if name == "mul" and len(inputs) == 1 and isinstance(args[1], int | float):
        return ("scale", f"× {args[1]:g}") if args[1] != 1 else None
    if name in _POINTWISE:
        return "pointwise", name
    if name in _NORMS:
        return "norm", "BN"
    if name == "cat":
        return "concat", "concat"
    if name == "constant_pad_nd":
        return "pad", "pad"
    if name == "mean" and inputs[0].dim() == 4:
        return "pool", "avg pool"
    if name == "_adaptive_avg_pool2d" and inputs[0].shape == result.shape:
        return None
    if name in _POOLS:
        return "pool", _pool(_POOLS[name], args[1], args[2] if len(args) > 2 else args[1], result)
    return ("other", name.strip("_").replace("_", " ")) if len(inputs) > 1 else None


def by_name(module: nn.Module) -> tuple[OpKind, str]:
    """Name a layer by its class, "ChannelShuffle" as "channel shuffle"."""
    name = type(module).__name__
    if "ResponseNorm" in name:
        return "norm", "LRN"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return ("norm" if "norm" in words else "other"), words


def _conv(kernel: Sequence[int], width: int, stride: int, groups: int, in_width: int) -> str:
    side = "×".join(str(k) for k in kernel)
    if groups == in_width > 1:
        what, suffix = "depthwise", ""
    else:
        what, suffix = "conv", f", {groups} groups" if groups > 1 else ""
    return f"{side} {what}, {width}{suffix}" + (f", /{stride}" if stride > 1 else "")


def _pool(which: str, kernel: Any, stride: Any, result: torch.Tensor) -> str:
    if result.dim() < 4 or result.shape[-1] == 1:
        return f"{which} pool"
    side, step = (v if isinstance(v, int) else v[0] for v in (kernel, stride or kernel))
    return f"{side}×{side} {which} pool" + (f", /{step}" if step > 1 else "")
