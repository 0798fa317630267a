"""The other places of batch norm and ReLU that He et al. 2016 compare in figure 4 (b) to (d)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from reslab.nn.blocks import Layer


class NormAfterAdditionBlock(nn.Module):
    """y = relu(BN(F(x) + shortcut(x))).

    Args:
        branch: F, the layers that learn the residual; ends with a convolution.
        shortcut: what is added to it; the same output shape.
        width: channels of the output.

    Source: He et al. 2016, section 4.1, "BN after addition", and figure 4 (b).
    """

    act: Layer

    def __init__(self, branch: nn.Module, shortcut: nn.Module, width: int) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu(BN(F(x) + shortcut(x)))."""
        return self.act(self.norm(self.branch(x) + self.shortcut(x)))


def without_last_norm(branch: nn.Sequential) -> nn.Sequential:
    """Take the batch norm at its end from a branch: conv BN relu conv, for figure 4 (b)."""
    layers = list(branch.named_children())
    assert isinstance(layers[-1][1], nn.BatchNorm2d)
    return nn.Sequential(OrderedDict(layers[:-1]))


def with_relu_behind(branch: nn.Sequential) -> nn.Sequential:
    """Rectify what a branch puts out: conv BN relu conv BN relu, for figure 4 (c)."""
    return nn.Sequential(OrderedDict([*branch.named_children(), ("act", nn.ReLU())]))


def with_relu_in_front(branch: nn.Sequential) -> nn.Sequential:
    """Rectify what a branch receives: relu conv BN relu conv BN, for figure 4 (d)."""
    return nn.Sequential(OrderedDict([("act", nn.ReLU()), *branch.named_children()]))
