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


def assert_same(found: Tensor, expected: Tensor, terms: float) -> None:
    """Assert that tensors differ by no more than rounding, beside the largest value."""
    bound = rounding(found.dtype, terms, expected.detach().abs().max().item())
    torch.testing.assert_close(found, expected, rtol=0, atol=bound, check_dtype=False)
