"""What runtimes were found to be worth, kept for this machine in the user's cache."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

import torch

from reslab import machine, networks
from reslab.durable import cache
from reslab.networks.network import Network
from reslab.predict.runtimes.runtime import RUNTIMES, Shape

KIND = "runtimes"
Known = dict[str, tuple[float, float]]


def key_of(network: Network, shape: Shape, device: torch.device) -> str:
    """Name a network, a batch and a machine (hexadecimal); the weights do not count."""
    return cache.key_of(
        {
            "spec": networks.to_json(network.spec),
            "shape": shape,
            "machine": machine.describe(device),
            "packages": {name: _version(name) for name in _packages()},
        }
    )


def recall(key: str) -> Known:
    """Return seconds of startup and speed (torch in float32 is 1) of each runtime known."""
    value = cache.recall(KIND, key)
    try:
        return {str(name): (float(start), float(speed)) for name, (start, speed) in value.items()}
    except (ValueError, TypeError, AttributeError):  # not there, or not what `keep` writes
        return {}


def keep(key: str, known: Mapping[str, tuple[float, float]]) -> None:
    """Add to what is known."""
    cache.keep(KIND, key, {**recall(key), **known})


def _packages() -> list[str]:
    """Return what decides how fast a runtime is: each one's own package, torch and this one."""
    return ["torch", "reslab", *(RUNTIMES[name].packages[0] for name in RUNTIMES
                                 if RUNTIMES[name].packages)]  # fmt: skip


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
