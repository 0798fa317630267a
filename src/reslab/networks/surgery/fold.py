"""Batch norm folded into the convolution before it, for inference."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

import torch
from torch import nn

from reslab.networks.network import Network, Stage

NamedLayer = tuple[nn.Module, str, nn.Module]


def fold_batch_norm(network: Network) -> Network:
    """BN(W x + b) = s W x + s (b - mean) + shift, with s = scale / sqrt(var + eps).

    In evaluation mode a batch norm right behind a convolution is part of it. It gives way to an
    identity, and the convolution gets a bias. Batch norms elsewhere stay: those that open a
    pre-activation unit or the network, or follow an addition.

    Only for inference: the batch statistics are gone. The state dictionary has other keys (a
    convolution's `bias` for a batch norm's five), so that the result cannot be saved as a model;
    keep the network itself, and fold after loading.

    Args:
        network: any network; it stays as it is.

    Returns:
        A copy in evaluation mode with the same logits up to rounding.

    Source: Ioffe and Szegedy 2015 (arXiv 1502.03167), section 3.1: at inference batch norm is a
    linear transform of each activation.
    """
    folded = copy.deepcopy(network).eval()
    behind = [pair for run in _runs(folded) for pair in itertools.pairwise(run)]
    for (_, _, first), (parent, name, second) in behind:
        # A fused batch norm also does what follows it, so that it cannot go.
        if isinstance(first, nn.Conv2d) and type(second) is nn.BatchNorm2d:
            _fold(first, second)
            setattr(parent, name, nn.Identity())
    return folded


def _runs(module: nn.Module) -> Iterator[list[NamedLayer]]:
    """Yield each run of layers that are computed one after the other: parent, name, layer."""
    for child in module.children():
        if _in_sequence(child):
            run = list(_layers(child))
            yield run
            for _, _, layer in run:
                yield from _runs(layer)
        else:
            yield from _runs(child)


def _layers(sequence: nn.Module) -> Iterator[NamedLayer]:
    for name, child in sequence.named_children():
        if _in_sequence(child):
            yield from _layers(child)
        else:
            yield sequence, name, child


def _in_sequence(module: nn.Module) -> bool:
    """Tell whether a module runs its children one after the other, whatever class it has."""
    return type(module).forward in (nn.Sequential.forward, Stage.forward)


@torch.no_grad()
def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In float64, so that folding rounds once.
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    before = 0.0 if conv.bias is None else conv.bias.double()
    bias = (before - norm.running_mean.double()) * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    weight = conv.weight.double() * scale[:, None, None, None]
    conv.weight = nn.Parameter(weight.to(conv.weight.dtype))
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype))
