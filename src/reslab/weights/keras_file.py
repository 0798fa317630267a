"""Keras' files of weights, read through h5py alone: no Keras, and nothing in them is run.

There are three forms: Keras 3's `.weights.h5`; its `.keras`, an archive around one; and the older
`.h5` or `.hdf5` of whole models and of weights. Layers are told apart by their place in the
model: the third convolution is ``conv2d_2`` whatever its own name was, as in Keras 3's files.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reslab.errors import CheckpointError, MachineError

INSIDE = "model.weights.h5"
NORM = ("weight", "bias", "running_mean", "running_var")


def read_keras(path: Path, *, is_archive: bool = False) -> dict[str, torch.Tensor]:
    """Read the tensors of a Keras file, named and laid out as torch has them.

    Args:
        path: the file.
        is_archive: whether it is Keras 3's archive (`.keras`) around a file of weights.

    Returns:
        ``conv2d_3.weight`` (output, input, height, width), ``batch_normalization_3.weight``,
        ``.bias``, ``.running_mean`` and ``.running_var``, ``dense.weight`` (output, input).

    Raises:
        CheckpointError: the file is damaged or holds no layers that are known.
        MachineError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MachineError(
            f"{path}: Keras' files need the package h5py", remedy="pip install 'reslab[keras]'"
        ) from error
    try:
        source: Any = path
        if is_archive:
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read(INSIDE))
        with h5py.File(source, "r") as file:
            found = _renumbered(_layers(file))
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is not a readable Keras file: {error}") from error
    if not found:
        raise CheckpointError(f"{path} holds no weights of Keras layers")
    return found


def _layers(file: Any) -> Iterator[list[np.ndarray[Any, Any]]]:
    """Yield the variables of each layer that has any, in the order of the model's layers."""
    if "layers" in file:  # Keras 3 numbers its groups by kind
        groups = file["layers"]
        for name in sorted(groups, key=_kind_and_number):
            variables = groups[name].get("vars", {})
            yield [np.asarray(variables[key]) for key in sorted(variables, key=int)]
        return
    root = file.get("model_weights", file)
    for name in root.attrs["layer_names"]:
        group = root[_text(name)]
        yield [np.asarray(group[_text(key)]) for key in group.attrs["weight_names"]]


def _renumbered(layers: Iterator[list[np.ndarray[Any, Any]]]) -> dict[str, torch.Tensor]:
    """Name each layer by its kind, which its variables tell, and its number among them."""
    found: dict[str, torch.Tensor] = {}
    seen: Counter[str] = Counter()
    for variables in layers:
        if not variables:
            continue
        shapes = [value.ndim for value in variables]
        names: tuple[str, ...]
        if shapes == [1, 1, 1, 1]:
            kind, names = "batch_normalization", NORM
        elif shapes[0] in (2, 4) and len(shapes) <= 2:
            kind, names = ("dense" if shapes[0] == 2 else "conv2d"), ("weight", "bias")
        else:
            raise ValueError(f"a layer with variables of shape {[v.shape for v in variables]}")
        name = f"{kind}_{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
        for part, value in zip(names, variables, strict=False):
            found[f"{name}.{part}"] = torch.from_numpy(_as_torch(value))
    return found


def _as_torch(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Put the output first: (height, width, input, output) and (input, output) in Keras."""
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.ndim)
    turned = value if axes is None else value.transpose(axes)
    return np.ascontiguousarray(turned, dtype=np.float32)


def _kind_and_number(name: str) -> tuple[str, int]:
    found = re.fullmatch(r"(.*?)(?:_(\d+))?", name)
    assert found is not None
    return found[1], int(found[2] or 0)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
