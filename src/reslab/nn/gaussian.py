"""How the weights of the networks before 2013 began."""

from __future__ import annotations

from torch import nn


def initialise_gaussian(network: nn.Module, *, std: float) -> None:
    """W ~ N(0, std^2), b = 0, for every convolution and linear layer.

    Source: Krizhevsky et al. 2012, section 5, with std 0.01 (some of the biases are one there).
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or module.weight.is_meta:
            continue
        nn.init.normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
