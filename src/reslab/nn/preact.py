"""Residual units that end with the addition: activations come before the convolutions."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from reslab.nn.blocks import BOTTLENECK_EXPANSION, Layer, conv
from reslab.spec import StrideOn


class AdditiveBlock(nn.Module):
    """y = F(x) + shortcut(x): nothing follows the addition.

    With an identity shortcut the signal passes through a stack of these unchanged, in both
    directions.

    Args:
        branch: F, the layers that learn the residual, with all their activations.
        shortcut: what is added to it; the same output shape.

    Source: He et al. 2016, equations 1 to 5 with f the identity.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute F(x) + shortcut(x)."""
        return self.branch(x) + self.shortcut(x)  # type: ignore[no-any-return]


class SharedActivationBlock(nn.Module):
    """y = F(a) + shortcut(a) with a = activation(x): both paths start from the activated input.

    Args:
        activation: what the two paths share, e.g. batch norm and ReLU.
        branch: F, the layers that learn the residual, without their first activation.
        shortcut: what is added to it; the same output shape.

    Source: He et al. 2016, appendix: the first unit activates before splitting into two paths;
    in the released code so do those that change dimensions.
    """

    activation: Layer

    def __init__(self, activation: nn.Module, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.activation = activation
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute F(a) + shortcut(a) with a = activation(x)."""
        a = self.activation(x)
        return self.branch(a) + self.shortcut(a)  # type: ignore[no-any-return]


def preact_basic_layers(in_width: int, width: int, stride: int) -> OrderedDict[str, nn.Module]:
    """F(x) = W2 relu(BN(W1 relu(BN(x)))) with two 3x3 convolutions; the first one subsamples.

    Source: He et al. 2016, figure 4 (e).
    """
    return OrderedDict(
        norm1=nn.BatchNorm2d(in_width),
        act1=nn.ReLU(),
        conv1=conv(in_width, width, 3, stride),
        norm2=nn.BatchNorm2d(width),
        act2=nn.ReLU(),
        conv2=conv(width, width, 3),
    )


def preact_bottleneck_layers(
    in_width: int, width: int, stride: int, stride_on: StrideOn
) -> OrderedDict[str, nn.Module]:
    """F(x) = W3 relu(BN(W2 relu(BN(W1 relu(BN(x)))))) with 1x1, 3x3 and 1x1 convolutions.

    Args:
        in_width: channels of the input.
        width: channels of the 3x3 convolution; the output has four times as many.
        stride: subsampling.
        stride_on: the convolution that subsamples.

    Source: He et al. 2016, figure 4 (e) and appendix.
    """
    return OrderedDict(
        norm1=nn.BatchNorm2d(in_width),
        act1=nn.ReLU(),
        conv1=conv(in_width, width, 1, stride if stride_on == "1x1" else 1),
        norm2=nn.BatchNorm2d(width),
        act2=nn.ReLU(),
        conv2=conv(width, width, 3, stride if stride_on == "3x3" else 1),
        norm3=nn.BatchNorm2d(width),
        act3=nn.ReLU(),
        conv3=conv(width, BOTTLENECK_EXPANSION * width, 1),
    )
