"""Keras' names for the layers of a model: their kind and their number among those."""

from __future__ import annotations

from collections import Counter

from torch import nn

from reslab.networks.network import Network
from reslab.weights.layout import modules_with_tensors

KINDS = {nn.Conv2d: "conv2d", nn.BatchNorm2d: "batch_normalization", nn.Linear: "dense"}


def by_kind(network: Network) -> dict[str, str]:
    """Name the first convolution ``conv2d``, the next ``conv2d_1``, and so on.

    For networks whose modules stand in the order in which Keras lists the layers: by depth, and
    a branch before its shortcut.
    """
    seen: Counter[str] = Counter()
    names = {}
    for name, module in modules_with_tensors(network):
        kind = KINDS[type(module)]
        names[name] = f"{kind}_{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
    return names
