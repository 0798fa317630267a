"""How far apart two ways of computing the same number may be: by the type's rounding alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def rounding(dtype: torch.dtype, terms: float = 1, scale: float = 1.0) -> float:
    """4 eps sqrt(terms) scale: what rounding does to a number that `terms` roundings led to.

    Roundings are independent, so that their sum grows with the root of their number (Higham,
    Accuracy and Stability of Numerical Algorithms, 2.8); four deviations are never exceeded in
    practice, whatever the order of the sums: vectors of 4 or 16 lanes, one thread or eight.

    Args:
        dtype: the type that is computed in.
        terms: products in a sum; for a network, those of all its sums one after the other.
        scale: the size of the numbers that are added up, which is that of the result unless
            they cancel out.
    """
    return 4 * torch.finfo(dtype).eps * math.sqrt(terms) * float(scale)


def terms_of(network: nn.Module) -> int:
    """Count the products that one value of a network's output is made of, layer after layer."""
    return sum(
        module.weight[0].numel()
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    )


def rounding_of(network: nn.Module, output: Tensor | float) -> float:
    """Return what rounding does to a network's output, or to a loss, a norm or a map of it.

    Beside the largest value: small ones are differences of large ones. A probability changes by
    less than its logits do.
    """
    values = torch.as_tensor(output).detach()
    dtype = next(network.parameters()).dtype
    return rounding(dtype, terms_of(network), values.abs().max().item())


def assert_same(network: nn.Module, found: Tensor, expected: Tensor) -> None:
    """Assert that two outputs of a network differ by no more than rounding."""
    torch.testing.assert_close(found, expected, rtol=0, atol=rounding_of(network, expected))
