"""Parameters, multiply-adds and receptive fields, measured on the built network.

The network runs once on torch's meta device, where tensors have shapes but no values. Every
operation is seen on its way, so that nothing about a network is counted by hand and networks
of any shape are measured the same way.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from reslab import networks
from reslab.display.short import short_repr
from reslab.networks.network import build
from reslab.networks.trace import Field, Trace


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a network as it was run.

    Args:
        name: its module, as in the state dictionary.
        kind: what it is, e.g. "conv 3x3 / 2".
        output_shape: without the batch: (channels, height, width) or (features,).
        params: its own trainable values.
        macs: its multiply-adds for one image; 0 for all but convolutions and linear layers.
        receptive_field: side of the square of input pixels that one output value depends on
            (borders aside); 0 for the whole image.
        stride: distance of neighbouring output values in input pixels; 0 for the whole image.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    params: int
    macs: int
    receptive_field: int
    stride: int


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network costs for one image of its own size.

    Args:
        spec: the network.
        layers: each one with parameters or with an output of another shape than its input,
            in the order they run.
        params: trainable values of the whole network.
        macs: multiply-adds of convolutions and linear layers.
    """

    spec: networks.NetworkSpec
    layers: tuple[Layer, ...]
    params: int
    macs: int

    __repr__ = short_repr


@functools.lru_cache(maxsize=32)  # a second to minutes for deep networks, always the same
def measure(spec: networks.NetworkSpec) -> Cost:
    """Build a network on the meta device and run it once on one image of its size.

    Raises:
        UsageError: the image size is less than the network can take.
    """
    with torch.device("meta"):
        network = build(spec).eval()
        image = torch.empty(1, spec.in_chans, spec.img_size, spec.img_size)
    rows: list[Layer] = []
    with torch.no_grad(), Trace() as trace:
        trace.mark(image, Field(size=1, stride=1))
        hooks = [
            hook
            for name, module in network.named_modules()
            if _is_layer(module)
            for hook in _observe(name, module, trace, rows)
        ]
        try:
            network(image)
        finally:
            for hook in hooks:
                hook.remove()
    params = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return Cost(spec=spec, layers=tuple(rows), params=params, macs=trace.macs)


def _is_layer(module: nn.Module) -> bool:
    """Take modules without children."""
    return next(module.children(), None) is None


def _observe(name: str, module: nn.Module, trace: Trace, rows: list[Layer]) -> list[Any]:
    """Add a row when the module has run; the multiply-adds since it began are its own."""
    macs_before = [0]

    def begin(_module: nn.Module, _inputs: object) -> None:
        macs_before[0] = trace.macs

    def end(_module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        params = sum(p.numel() for p in module.parameters() if p.requires_grad)
        if params or output.shape != inputs[0].shape:
            field = trace.field(output)
            rows.append(
                Layer(
                    name=name,
                    kind=describe(module),
                    output_shape=tuple(output.shape[1:]),
                    params=params,
                    macs=trace.macs - macs_before[0],
                    receptive_field=field.size,
                    stride=field.stride,
                )
            )

    return [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]


def describe(module: nn.Module) -> str:
    """Say what a layer is in a few words, e.g. ``conv 3x3 / 2``."""
    match module:
        case nn.Conv2d():
            kernel, stride = "x".join(str(k) for k in module.kernel_size), module.stride[0]
            groups = f", {module.groups} groups" if module.groups > 1 else ""
            return f"conv {kernel}" + (f" / {stride}" if stride > 1 else "") + groups
        case nn.MaxPool2d() | nn.AvgPool2d():
            what = "max" if isinstance(module, nn.MaxPool2d) else "average"
            return f"{what} {module.kernel_size}x{module.kernel_size} / {module.stride}"
        case nn.BatchNorm2d():
            return "batch norm"
        case nn.Linear():
            return "linear"
        case _:
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(module).__name__).lower()
            return words.removesuffix(" shortcut").removesuffix(" pool")


def with_norms_folded(layers: Sequence[Layer]) -> list[Layer]:
    """Count each batch norm in the layer before it: half the rows, the same sums."""
    folded: list[Layer] = []
    for layer in layers:
        if layer.kind == "batch norm" and folded:
            last = folded[-1]
            folded[-1] = dataclasses.replace(last, params=last.params + layer.params)
        else:
            folded.append(layer)
    return folded
