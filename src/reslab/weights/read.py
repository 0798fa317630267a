"""Files of weights as other programs write them, read without running anything in them.

This is the only place that opens a pickle, and only through torch's reader of plain tensors
(`weights_only`), which builds tensors and containers and calls nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch

from reslab.display.short import short_repr
from reslab.errors import CheckpointError, UsageError, unknown

TORCH_SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar", ".pkl")
KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
SUFFIXES = (".safetensors", *TORCH_SUFFIXES, *KERAS_SUFFIXES)
CONFIG = "config.json"
# Where training programs put the weights beside the optimizer and the epoch, the likeliest first.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
# What wrapping modules prepend to every name.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")


@dataclasses.dataclass(frozen=True)
class Weights:
    """The tensors of a file by the names that their writer gave them.

    Args:
        path: the file.
        tensors: name -> values; prefixes of wrapping modules are taken off.
        notes: what was chosen or left aside while reading, a sentence each.
        config: the JSON object of a `config.json` beside the file (timm writes one), or empty.
    """

    path: Path
    tensors: Mapping[str, torch.Tensor]
    notes: tuple[str, ...] = ()
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    __repr__ = short_repr


class _Arguments:
    """What stands in for the command line's arguments in a training checkpoint."""


def read(path: Path, key: str | None = None) -> Weights:
    """Read the tensors of a file.

    Args:
        path: a .safetensors, .pth, .pt, .bin, .weights.h5 or .keras file.
        key: which entry of a training checkpoint holds the weights, e.g. "state_dict_ema";
            None for the usual ones.

    Raises:
        UsageError: another kind of file, or a key that the checkpoint does not have.
        CheckpointError: the file is missing or damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path} is not a file", remedy=f"name a file of weights ({', '.join(SUFFIXES)})"
        )
    suffix = path.suffix.lower()
    notes: list[str] = []
    if suffix == ".safetensors":
        value: Any = _read_safetensors(path)
    elif suffix in KERAS_SUFFIXES:
        from reslab.weights.keras_file import read_keras

        return Weights(path, read_keras(path))
    elif suffix in TORCH_SUFFIXES:
        value = _read_torch(path)
    else:
        raise UsageError(
            f"{path} is not a file of weights that can be read (known: {', '.join(SUFFIXES)})"
        )
    value = _unwrap(value, path, key, notes)
    return Weights(path, _without_prefix(value, notes), tuple(notes), _config_beside(path))


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors_torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error


def _read_torch(path: Path) -> Any:
    # Training programs save their arguments beside the weights. They are no tensors either, but
    # nothing but values, which are put into a class of ours and forgotten.
    allowed = [(_Arguments, "argparse.Namespace")]
    try:
        with torch.serialization.safe_globals(allowed):  # type: ignore[arg-type]
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles make torch raise all kinds
        raise _refusal(path, error) from error


def _refusal(path: Path, error: Exception) -> CheckpointError:
    """Say what else than tensors a file holds, or that it is damaged."""
    try:
        strangers = torch.serialization.get_unsafe_globals_in_checkpoint(os.fspath(path))
    except Exception:  # an old or damaged file: there is nothing to list
        strangers = []
    if strangers:
        more = f" and {len(strangers) - 3} more" if len(strangers) > 3 else ""
        return CheckpointError(
            f"{path} holds Python objects besides tensors ({', '.join(strangers[:3])}{more}), "
            "which are never loaded",
            remedy="save its state_dict() alone, best as safetensors, where you trust the file",
        )
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CheckpointError(f"{path} is not a readable file of tensors: {reason[:200]}")


def _unwrap(
    value: Any, path: Path, key: str | None, notes: list[str]
) -> Mapping[str, torch.Tensor]:
    """Find the mapping of names to tensors inside a training checkpoint."""
    if isinstance(value, torch.nn.Module):  # torch's reader never returns one
        raise CheckpointError(f"{path} holds a whole module instead of its weights")
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{path} holds a {type(value).__name__}, not named tensors")
    inner = [name for name, item in value.items() if _is_state(item)]
    if key is not None:
        if key not in inner:
            raise (
                unknown("key of the checkpoint", key, inner)
                if inner
                else CheckpointError(
                    f"{path} holds the tensors themselves, not under a key",
                    remedy="leave --key out",
                )
            )
        return _unwrap(value[key], path, None, notes)
    if _is_state(value):
        return {str(name): item for name, item in value.items()}
    known = [name for name in WRAPPERS if name in inner] + [
        name for name in inner if name not in WRAPPERS
    ]
    if not known:
        raise CheckpointError(f"{path} holds no named tensors")
    others = [name for name in known[1:] if not _is_optimizer(name)]
    if others:
        notes.append(f"took '{known[0]}' of the checkpoint; it has {_quoted(others)} too (--key)")
    return _unwrap(value[known[0]], path, None, notes)


def _is_state(value: Any) -> bool:
    """Tell whether something maps names to tensors (a counter or two aside)."""
    if not isinstance(value, Mapping) or not value:
        return False
    tensors = sum(isinstance(item, torch.Tensor) for item in value.values())
    return all(isinstance(name, str) for name in value) and tensors == len(value)


def _is_optimizer(name: str) -> bool:
    return "optim" in name or "sched" in name or "scaler" in name


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
            having = [name for name in found if name.startswith(prefix)]
            if len(having) > len(found) / 2:
                notes.append(f"took the prefix '{prefix}' off the names")
                found = {name.removeprefix(prefix): value for name, value in found.items()}
                break
        else:
            return found


def _config_beside(path: Path) -> dict[str, Any]:
    """Read the `config.json` in the file's folder, if there is one that can be read."""
    try:
        value = json.loads((path.parent / CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:4])
