"""Follow one forward pass operation by operation: multiply-adds and receptive fields."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_POOLS = (_aten.max_pool2d_with_indices.default, _aten.avg_pool2d.default)
_PRODUCTS = (_aten.addmm.default, _aten.mm.default)


@dataclasses.dataclass(frozen=True, order=True)
class Field:
    """What a value of a map depends on.

    Args:
        size: side of the square of input pixels it sees; 0 for the whole image.
        stride: distance of neighbouring values in input pixels; 0 for the whole image.
    """

    size: int
    stride: int


WHOLE_IMAGE = Field(size=0, stride=0)


class Trace(TorchDispatchMode):
    """Carry receptive fields from tensor to tensor and add up multiply-adds.

    size_out = size_in + (kernel - 1) * stride_in and stride_out = stride_in * stride, by the
    usual recursion; where branches meet, the largest field counts. A multiply-add is counted
    for convolutions and linear layers only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0
        self._fields: dict[int, Field] = {}
        self._alive: list[torch.Tensor] = []

    def mark(self, tensor: torch.Tensor, field: Field) -> None:
        """Say what a tensor sees; it is kept alive so that its identity stays its own."""
        self._fields[id(tensor)] = field
        self._alive.append(tensor)

    def field(self, tensor: torch.Tensor) -> Field:
        """Return what a tensor sees."""
        return self._fields[id(tensor)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and note what its outputs see."""
        outputs = func(*args, **(kwargs or {}))
        tensors = [t for t in _flat(args) if id(t) in self._fields]
        if not tensors:
            return outputs
        fields = [self._fields[id(t)] for t in tensors]
        field = WHOLE_IMAGE if WHOLE_IMAGE in fields else max(fields)
        for output in _flat(outputs if isinstance(outputs, tuple | list) else [outputs]):
            self.mark(output, self._grown(func, args, tensors[0], output, field))
        if func is _aten.convolution.default:
            self.macs += outputs.numel() * math.prod(args[1].shape[1:])
        elif func in _PRODUCTS:
            self.macs += outputs.numel() * args[-2].shape[-1]
        return outputs

    def _grown(
        self, func: Any, args: Any, before: torch.Tensor, after: torch.Tensor, field: Field
    ) -> Field:
        """Apply what the operation does to the field of its input."""
        if field == WHOLE_IMAGE or after.dim() < 3:
            return WHOLE_IMAGE
        if func is _aten.convolution.default:
            dilation = args[5][0] if len(args) > 5 else 1
            return _through(field, dilation * (args[1].shape[-1] - 1) + 1, args[3][0])
        if func in _POOLS:
            stride = args[2] if len(args) > 2 and args[2] else args[1]
            return _through(field, args[1][0], stride[0])
        if before.dim() == 4 and after.dim() == 4 and after.shape[-1] == 1 < before.shape[-1]:
            return WHOLE_IMAGE
        if func is _aten.slice.Tensor and len(args) > 4 and args[1] == after.dim() - 1:
            return Field(field.size, field.stride * args[4])
        return field


def _through(field: Field, kernel: int, stride: int) -> Field:
    return Field(field.size + (kernel - 1) * field.stride, field.stride * stride)


def _flat(values: Sequence[Any]) -> list[torch.Tensor]:
    """List the tensors among values, one level of lists deep."""
    tensors = []
    for value in values:
        inner = value if isinstance(value, list | tuple) else [value]
        tensors += [v for v in inner if isinstance(v, torch.Tensor)]
    return tensors
