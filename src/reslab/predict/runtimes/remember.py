"""What runtimes were found to be worth, kept for this machine in the user's cache."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from reslab import machine, spec
from reslab.durable import write_file
from reslab.errors import MachineError
from reslab.nn import Network
from reslab.predict.runtimes.runtime import Shape

PACKAGES = ("torch", "openvino", "onnxruntime", "reslab")
Known = dict[str, tuple[float, float]]


def key_of(network: Network, shape: Shape, device: torch.device) -> str:
    """Name a network, a batch and a machine (hexadecimal); the weights do not count."""
    value = {
        "spec": spec.to_json(network.spec),
        "shape": shape,
        "machine": machine.describe(device),
        "packages": {name: _version(name) for name in PACKAGES},
    }
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def recall(key: str) -> Known:
    """Return seconds of startup and speed (torch in float32 is 1) of each runtime known."""
    try:
        value = json.loads(_path(key).read_text(encoding="utf-8"))
        return {str(name): (float(start), float(speed)) for name, (start, speed) in value.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # not there, or not what `keep` writes
        return {}


def keep(key: str, known: Mapping[str, tuple[float, float]]) -> None:
    """Add to what is known; a cache that cannot be written is no reason to fail."""
    value: dict[str, Any] = {**recall(key), **known}
    try:
        write_file(_path(key), json.dumps(value, sort_keys=True).encode())
    except (OSError, MachineError):
        return


def _path(key: str) -> Path:
    root = Path(os.environ.get("RESLAB_CACHE") or "~/.cache/reslab").expanduser()
    return root / "runtimes" / f"{key}.json"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
