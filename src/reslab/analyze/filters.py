"""The first layer's filters, which are small pictures of what it looks for."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from reslab.display.short import short_repr
from reslab.errors import UsageError


@dataclasses.dataclass(frozen=True)
class FirstFilters:
    """The weights of the convolution that sees the image itself.

    Args:
        module: its name.
        weights: float32 (filters, in_chans, height, width).
    """

    module: str
    weights: torch.Tensor

    __repr__ = short_repr


def first_filters(network: nn.Module) -> FirstFilters:
    """Find the convolution that the image meets first and copy its filters.

    Raises:
        UsageError: the network has no convolution.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            return FirstFilters(name, module.weight.detach().float().cpu().clone())
    raise UsageError(f"{type(network).__name__} has no convolution, so that it has no filters")


def as_pictures(weights: torch.Tensor) -> torch.Tensor:
    """Scale each filter to 0..1 around its zero, which becomes the middle grey 0.5.

    All channels of a filter share one scale, so that its colours are those it looks for.

    Args:
        weights: (filters, channels, height, width).

    Returns:
        float32 of the same shape.
    """
    largest = weights.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
    return weights / (2 * largest) + 0.5
