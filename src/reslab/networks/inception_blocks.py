"""What Inception networks are made of: branches side by side, as data and as modules."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn


@dataclass(frozen=True)
class Conv:
    """A convolution with what follows it, as data.

    Args:
        width: output channels.
        kernel: height and width.
        stride: subsampling.
        valid: no padding; the map shrinks by the kernel less one. Padded to keep the size
            otherwise.
    """

    width: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    valid: bool = False


@dataclass(frozen=True)
class Pool:
    """A 3x3 pool as data; an average counts real pixels only.

    Args:
        kind: "max" or "average".
        stride: subsampling.
        valid: no padding.
    """

    kind: Literal["max", "average"]
    stride: int = 1
    valid: bool = False


@dataclass(frozen=True)
class Fork:
    """Branches that all read the same map, as data."""

    branches: tuple[tuple[LayerSpec, ...], ...]


LayerSpec = Conv | Pool | Fork
MakeConv = Callable[[int, Conv], nn.Module]


def fork(*branches: Sequence[LayerSpec]) -> Fork:
    """List the branches of an Inception module from left to right."""
    return Fork(tuple(tuple(branch) for branch in branches))


def out_width(in_width: int, layers: Sequence[LayerSpec]) -> int:
    """Return the channels that leave a run of layers."""
    for layer in layers:
        if isinstance(layer, Conv):
            in_width = layer.width
        elif isinstance(layer, Fork):
            in_width = sum(out_width(in_width, branch) for branch in layer.branches)
    return in_width


class Concat(nn.Module):
    """y = [F_1(x), ..., F_n(x)], the outputs of all branches as channels of one map.

    Args:
        branches: the F_i, of equal output size.

    Source: Szegedy et al. 2014 (arXiv 1409.4842), figure 2.
    """

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, sum of the branches' channels, H', W')."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def make_layers(in_width: int, layers: Sequence[LayerSpec], make_conv: MakeConv) -> nn.Sequential:
    """Turn a run of layers into modules, named by kind and counted by kind.

    So convolutions keep their names where a pool between them is left out.

    Args:
        in_width: channels of the input.
        layers: what to make, in order.
        make_conv: from input channels and a `Conv` to the convolution with what follows it.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    seen: Counter[str] = Counter()
    for layer in layers:
        kind = type(layer).__name__.lower()
        seen[kind] += 1
        name = f"{kind}{seen[kind]}"
        if isinstance(layer, Conv):
            modules[name] = make_conv(in_width, layer)
        elif isinstance(layer, Pool):
            modules[name] = make_pool(layer)
        else:
            modules[name] = make_fork(in_width, layer, make_conv)
        in_width = out_width(in_width, [layer])
    return nn.Sequential(modules)


def make_fork(in_width: int, branches: Fork, make_conv: MakeConv) -> Concat:
    """Turn the branches of an Inception module into modules."""
    return Concat([make_layers(in_width, branch, make_conv) for branch in branches.branches])


def make_pool(pool: Pool) -> nn.Module:
    """Make a 3x3 pool."""
    padding = 0 if pool.valid else 1
    if pool.kind == "max":
        return nn.MaxPool2d(3, stride=pool.stride, padding=padding)
    return nn.AvgPool2d(3, stride=pool.stride, padding=padding, count_include_pad=False)


def conv_act(in_width: int, conv: Conv) -> nn.Sequential:
    """relu(W x + b)."""
    return nn.Sequential(OrderedDict(conv=_bare(in_width, conv, bias=True), act=nn.ReLU()))


def conv_norm_act(in_width: int, conv: Conv, *, eps: float = 1e-5) -> nn.Sequential:
    """relu(BN(W x)); the norm adds `eps` to the variance."""
    return nn.Sequential(
        OrderedDict(
            conv=_bare(in_width, conv, bias=False),
            norm=nn.BatchNorm2d(conv.width, eps=eps),
            act=nn.ReLU(),
        )
    )


def _bare(in_width: int, conv: Conv, *, bias: bool) -> nn.Conv2d:
    kernel = (conv.kernel, conv.kernel) if isinstance(conv.kernel, int) else conv.kernel
    padding = (0, 0) if conv.valid else (kernel[0] // 2, kernel[1] // 2)
    return nn.Conv2d(in_width, conv.width, kernel, conv.stride, padding, bias=bias)
