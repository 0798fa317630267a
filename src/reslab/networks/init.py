"""Other ways for weights to begin than `network.initialize`."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from reslab.networks.blocks import (
    AdditiveBlock,
    ResidualBlock,
    SharedActivationBlock,
    ZeroPadShortcut,
)


def initialize_gaussian(network: nn.Module, *, std: float) -> None:
    """W ~ N(0, std^2), b = 0, for every convolution and linear layer.

    Source: Krizhevsky et al. 2012, section 5, with std 0.01 (some of the biases are one there).
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or module.weight.is_meta:
            continue
        nn.init.normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


Law = Literal["he", "glorot", "gaussian"]
GAUSSIAN_STD = 0.01


@torch.no_grad()
def redraw(network: nn.Module, law: Law) -> None:
    """Draw the weights of all convolutions and linear layers anew, from another normal law.

    Biases and norms stay as they are, and so do weights that do not learn.

    Args:
        network: changed in place.
        law: "he" for N(0, 2 / fan_in) (He et al. 2015, arXiv 1502.01852, equation 10); "glorot"
            for N(0, 2 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 12; they draw
            uniformly, with the same variance); "gaussian" for N(0, 0.01^2), whatever the layer
            (Krizhevsky et al. 2012, section 5).
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or not module.weight.requires_grad:
            continue
        if law == "he":
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        elif law == "glorot":
            nn.init.xavier_normal_(module.weight)
        else:
            nn.init.normal_(module.weight, std=GAUSSIAN_STD)


def zero_last_scale(network: nn.Module) -> None:
    """Start each residual branch at F(x) = 0: the scale of the batch norm at its end becomes zero.

    Every block then begins as its shortcut (and the ReLU behind it, where there is one). Left
    alone are:

    - branches that do not end in a batch norm: those without any, and those of pre-activation
      units, where a ReLU behind the zeros would keep the branch from ever learning;
    - batch norms whose scale does not learn;
    - blocks whose shortcut widens the map with channels of zeros (option A): branch and shortcut
      would both be zero there, and behind a ReLU such a channel never learns anything;
    - blocks that scale or gate their shortcut: a stack of them would put out next to nothing;
    - plain blocks, which would put out nothing at all.

    This is in neither of the residual network papers; source: Goyal et al. 2017 (arXiv
    1706.02677), section 5.1.
    """
    for block in network.modules():
        if isinstance(block, ResidualBlock | AdditiveBlock | SharedActivationBlock):
            last = list(block.branch.modules())[-1]
            if not isinstance(last, nn.BatchNorm2d) or _adds_channels_of_zeros(block.shortcut):
                continue
            if isinstance(last.weight, nn.Parameter):
                nn.init.zeros_(last.weight)


def _adds_channels_of_zeros(shortcut: nn.Module) -> bool:
    return any(isinstance(m, ZeroPadShortcut) and m.new_channels for m in shortcut.modules())
