"""Files of weights as other programs write them, read without running anything in them.

What a file is, is told by its content (`file_kind`), not by its name.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch

from reslab import artifact, file_kind
from reslab.display.short import short_repr
from reslab.errors import CheckpointError
from reslab.weights.shards import INDEX_SUFFIX, merged, parts_of_index, parts_of_shard
from reslab.weights.torch_file import read_torch
from reslab.weights.training_checkpoint import weights_in

TORCH_SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar", ".pkl")
KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
SUFFIXES = (".safetensors", *TORCH_SUFFIXES, *KERAS_SUFFIXES)
CONFIG = "config.json"
PREPROCESSOR_CONFIG = "preprocessor_config.json"
# What programs call the weights in a folder of theirs, the safest first.
FOREIGN_FILES = (
    "model.safetensors",
    f"model.safetensors{INDEX_SUFFIX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX_SUFFIX}",
)
# What wrapping modules prepend to every name.
PREFIXES = (
    "module.",
    "_orig_mod.",
    "model.",
    "net.",
    "network.",
    "backbone.",
    "encoder.",
    "timm_model.",
)
# transformers' bare ResNet lacks the prefix that its classifier's file has.
BARE_TRANSFORMERS = "embedder.embedder.convolution.weight"
TRANSFORMERS_PREFIX = "resnet."


@dataclasses.dataclass(frozen=True)
class Weights:
    """The tensors of a file by the names that their writer gave them.

    Args:
        path: the file.
        tensors: name -> values; prefixes of wrapping modules are taken off.
        notes: what was chosen or left aside while reading, a sentence each.
        config: the JSON object of a `config.json` beside the file (timm and transformers write
            one), or empty.
        preprocessor: that of transformers' `preprocessor_config.json`, likewise.
    """

    path: Path
    tensors: Mapping[str, torch.Tensor]
    notes: tuple[str, ...] = ()
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    preprocessor: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    __repr__ = short_repr


def read(path: Path, key: str | None = None) -> Weights:
    """Read the tensors of a file, or of the one set of weights in a folder.

    Args:
        path: a file that holds safetensors, a checkpoint of torch.save or Keras' layers, whatever
            its name; one of several files that belong together, or their index; a folder.
        key: which entry of a training checkpoint holds the weights, e.g. "state_dict_ema";
            None for the usual ones.

    Raises:
        UsageError: a key that the checkpoint does not have.
        CheckpointError: the file is missing, damaged, no file of weights (then it is said what
            it is), or holds more than tensors.
    """
    path = _file_of(path)
    kind = file_kind.kind_of(path)
    parts = parts_of_index(path) if kind.name == "index" else parts_of_shard(path)
    notes: list[str] = []
    values = [_read_one(part) for part in parts]
    value = values[0] if len(values) == 1 else merged(values, path)
    if len(values) > 1:
        notes.append(f"read {len(values)} files that belong together")
    if kind.name in ("hdf5", "keras"):
        return Weights(path, value)
    tensors = _without_prefix(weights_in(value, path, key, notes), notes)
    return Weights(
        path,
        _with_prefix(tensors),
        tuple(notes),
        _json_beside(path, CONFIG),
        _json_beside(path, PREPROCESSOR_CONFIG),
    )


def _file_of(path: Path) -> Path:
    """Return the file of weights that a path leads to: itself, or the usual one in a folder."""
    folder = path if path.is_dir() else path.parent
    ours = (folder / artifact.MODEL_JSON).is_file()
    if ours and (path.is_dir() or path.name in (artifact.WEIGHTS, artifact.MODEL_JSON)):
        raise CheckpointError(
            f"{folder} is a model of reslab already: there is nothing to import",
            remedy=f"use it as it is, e.g. reslab predict {folder} IMAGES",
        )
    if not path.is_dir():
        file_kind.refuse_broken_link(path)
        if not path.is_file():
            raise CheckpointError(
                f"{path} is not a file", remedy=f"name a file of weights ({', '.join(SUFFIXES)})"
            )
        return path
    for name in FOREIGN_FILES:
        if (path / name).is_file() or (path / name).is_symlink():
            return path / name
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(file.name for file in found[:4])
        raise CheckpointError(
            f"{path} holds {len(found)} files that may be weights ({names}"
            f"{', ...' if len(found) > 4 else ''})",
            remedy="name one of them",
        )
    raise CheckpointError(
        f"{path} is a folder without files of weights ({', '.join(SUFFIXES)})",
        remedy="name the file of weights",
    )


def _read_one(path: Path) -> Any:
    """Read what one file holds, by its kind."""
    kind = file_kind.kind_of(path)
    if kind.name == "safetensors":
        return _read_safetensors(path)
    if kind.name in ("torch", "torch legacy"):
        return read_torch(path)
    if kind.name in ("hdf5", "keras"):
        from reslab.weights.keras_file import read_keras

        return read_keras(path, is_archive=kind.name == "keras")
    raise file_kind.refusal(path, kind)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors_torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file: {error}", remedy=file_kind.AGAIN
        ) from error


def _without_prefix(
    tensors: Mapping[str, torch.Tensor], notes: list[str]
) -> dict[str, torch.Tensor]:
    """Take off what DataParallel, torch.compile and wrapping modules put before each name.

    A prefix goes where most names have it; names without it (a loss's own weights) stay as
    they are.
    """
    found = dict(tensors)
    while True:
        for prefix in PREFIXES:
            if prefix == "encoder." and BARE_TRANSFORMERS in found:
                continue  # a part of transformers' networks, beside "embedder."
            having = [name for name in found if name.startswith(prefix)]
            clear = len({name.removeprefix(prefix) for name in found}) == len(found)
            if len(having) > len(found) / 2 and clear:
                notes.append(f"took the prefix '{prefix}' off the names")
                found = {name.removeprefix(prefix): value for name, value in found.items()}
                break
        else:
            return found


def _with_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Name the tensors of transformers' bare network as those of the one with a classifier."""
    if BARE_TRANSFORMERS not in tensors:
        return tensors
    inside = ("embedder.", "encoder.")
    return {
        f"{TRANSFORMERS_PREFIX}{name}" if name.startswith(inside) else name: value
        for name, value in tensors.items()
    }


def _json_beside(path: Path, name: str) -> dict[str, Any]:
    """Read a JSON object in the file's folder, if there is one that can be read."""
    try:
        value = json.loads((path.parent / name).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
