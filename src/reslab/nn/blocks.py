"""The building blocks: what happens between two points where a shortcut may start or end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from reslab.spec import StrideOn

BOTTLENECK_EXPANSION = 4
Layer = Callable[[torch.Tensor], torch.Tensor]


class ResidualBlock(nn.Module):
    """y = relu(F(x) + shortcut(x)).

    Args:
        branch: F, the layers that learn the residual; ends without an activation.
        shortcut: what is added to it; the same output shape.

    Source: He et al. 2015, equations 1 and 2.
    """

    act: Layer

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu(F(x) + shortcut(x))."""
        return self.act(self.branch(x) + self.shortcut(x))


class PlainBlock(nn.Module):
    """y = relu(F(x)): the residual block without its shortcut.

    Args:
        branch: F, the layers; ends without an activation.

    Source: He et al. 2015, section 3.3, "Plain Network".
    """

    act: Layer

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu(F(x))."""
        return self.act(self.branch(x))


def basic_branch(in_width: int, width: int, stride: int) -> nn.Sequential:
    """F(x) = BN(W2 relu(BN(W1 x))) with two 3x3 convolutions; the first one subsamples.

    Source: He et al. 2015, figure 5 left.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=conv(in_width, width, 3, stride),
            norm1=nn.BatchNorm2d(width),
            act1=nn.ReLU(),
            conv2=conv(width, width, 3),
            norm2=nn.BatchNorm2d(width),
        )
    )


def bottleneck_branch(in_width: int, width: int, stride: int, stride_on: StrideOn) -> nn.Sequential:
    """F(x) = BN(W3 relu(BN(W2 relu(BN(W1 x))))) with 1x1, 3x3 and 1x1 convolutions.

    Args:
        in_width: channels of the input.
        width: channels of the 3x3 convolution; the output has four times as many.
        stride: subsampling.
        stride_on: the convolution that subsamples.

    Source: He et al. 2015, figure 5 right.
    """
    out_width = BOTTLENECK_EXPANSION * width
    return nn.Sequential(
        OrderedDict(
            conv1=conv(in_width, width, 1, stride if stride_on == "1x1" else 1),
            norm1=nn.BatchNorm2d(width),
            act1=nn.ReLU(),
            conv2=conv(width, width, 3, stride if stride_on == "3x3" else 1),
            norm2=nn.BatchNorm2d(width),
            act2=nn.ReLU(),
            conv3=conv(width, out_width, 1),
            norm3=nn.BatchNorm2d(out_width),
        )
    )


def conv(in_width: int, out_width: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Make a convolution that keeps the size at stride 1; no bias, for a batch norm follows."""
    return nn.Conv2d(in_width, out_width, kernel, stride=stride, padding=kernel // 2, bias=False)
