"""The networks by name: specifications, where they come from, and what they cost."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from importlib import resources

from reslab.catalog import (
    alexnet,
    cifar,
    googlenet,
    highway,
    ideas,
    identity,
    imagenet,
    inception,
    keras_tutorial,
    mobilenet,
    photographs,
    preact,
    shufflenet,
    squeezenet,
    vgg,
    whitened,
    zfnet,
)
from reslab.catalog.entry import Entry, Published
from reslab.registry import Registry

__all__ = ["NETWORKS", "Cost", "Entry", "Published", "costs", "entry", "list_models"]


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network costs at its own image size and number of classes.

    Args:
        params: trainable values.
        macs: multiply-adds of convolutions and linear layers for one image.
    """

    params: int
    macs: int


# In the order of history; `list` prints it.
FAMILIES = (
    alexnet,
    zfnet,
    vgg,
    googlenet,
    highway,
    imagenet,
    cifar,
    identity,
    preact,
    keras_tutorial,
    inception,
    squeezenet,
    mobilenet,
    shufflenet,
    ideas,
    photographs,
    whitened,
)


def _all_networks() -> Registry[Entry]:
    networks: Registry[Entry] = Registry("network")
    for family in FAMILIES:
        for item in family.ENTRIES:
            networks.register(item.name, item)
    return networks


NETWORKS: Registry[Entry] = _all_networks()


def entry(name: str) -> Entry:
    """Return what is known of a network.

    Raises:
        UsageError: no network has this name; the message proposes the nearest one.
    """
    return NETWORKS[name]


def list_models(pattern: str = "*") -> list[str]:
    """List the names of networks that match a shell pattern, e.g. ``resnet*_v15``."""
    return NETWORKS.names(pattern)


@functools.cache
def costs() -> Mapping[str, Cost]:
    """Read the table of costs, which was measured on the built networks.

    It is written by ``python -m reslab.analyze.cost --write``, so that listing networks
    needs no torch.
    """
    text = resources.files(__name__).joinpath("costs.json").read_text(encoding="utf-8")
    return {name: Cost(**value) for name, value in json.loads(text).items()}
