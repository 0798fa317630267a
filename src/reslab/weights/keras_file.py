"""Keras' files of weights (`.weights.h5`, `.keras`), read through h5py alone."""

from __future__ import annotations

from pathlib import Path

import torch

from reslab.errors import MachineError


def read_keras(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a Keras file."""
    raise MachineError(f"{path}: Keras files need h5py", remedy="pip install 'reslab[keras]'")
