"""Which of the mappings inside a training checkpoint are the weights."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from reslab.errors import CheckpointError, unknown

# Where training programs put the weights beside the optimizer and the epoch, the likeliest first.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
# Parts of a checkpoint that hold tensors and are no weights.
_OF_TRAINING = ("optim", "sched", "scaler", "callbacks", "loops", "rng", "amp_", "momentum")
# Where wrapping modules and profilers (thop) leave their own counters among the weights.
_COUNTERS = ("total_ops", "total_params", "n_averaged")
_DEPTH_MAX = 6


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A mapping that holds tensors: its path in the checkpoint and the tensors by name."""

    path: tuple[str, ...]
    tensors: Mapping[str, torch.Tensor]
    others: tuple[str, ...]

    @property
    def values(self) -> int:
        return sum(tensor.numel() for tensor in self.tensors.values())

    @property
    def key(self) -> str:
        return ".".join(self.path)


def weights_in(
    value: Any, path: Path, key: str | None, notes: list[str]
) -> Mapping[str, torch.Tensor]:
    """Find the mapping of names to tensors inside a training checkpoint.

    Args:
        value: what the file holds.
        path: the file, for messages.
        key: the entry to take: its name, a path of names joined by dots, or what the names of
            one network in a flat file begin with; None for the usual one.
        notes: what was chosen or left aside is added here, a sentence each.

    Raises:
        UsageError: no such entry.
        CheckpointError: no tensors with names.
    """
    if isinstance(value, torch.nn.Module):  # torch's reader never returns one
        raise CheckpointError(f"{path} holds a whole module instead of its weights")
    if not isinstance(value, Mapping) and not _is_list_of_mappings(value):
        raise CheckpointError(f"{path} holds a {type(value).__name__}, not named tensors")
    found = list(_candidates(value, ()))
    if not found:
        raise _nothing_in(value, path)
    if key is not None:
        return _asked_for(found, path, key, notes)
    chosen = _likeliest(found)
    others = [each.key for each in found if each is not chosen and each.path]
    if others and chosen.path:
        notes.append(f"took '{chosen.key}' of the checkpoint; it has {_quoted(others)} too (--key)")
    elif others:
        notes.append(f"the checkpoint has {_quoted(others)} besides its own tensors (--key)")
    return _cleaned(chosen, notes)


def _candidates(value: Any, path: tuple[str, ...]) -> Iterator[_Candidate]:
    """Yield every mapping with tensors that may be weights, from the outside to the inside."""
    if len(path) > _DEPTH_MAX:
        return
    items = dict(enumerate(value)) if isinstance(value, list | tuple) else value
    named = {str(name): item for name, item in items.items()}
    tensors = {name: item for name, item in named.items() if isinstance(item, torch.Tensor)}
    by_name = isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
    if by_name and any(tensor.dim() for tensor in tensors.values()):
        inner = (Mapping, list, tuple, torch.Tensor)
        others = tuple(name for name, item in named.items() if not isinstance(item, inner))
        yield _Candidate(path, tensors, others)
    for name, item in named.items():
        of_training = any(word in name.lower() for word in _OF_TRAINING)
        if not of_training and (isinstance(item, Mapping) or _is_list_of_mappings(item)):
            yield from _candidates(item, (*path, name))


def _is_list_of_mappings(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value)


def _likeliest(found: list[_Candidate]) -> _Candidate:
    """Choose the outermost mapping, unless what lies in it holds more; then by usual names."""
    outer, inner = found[0], found[1:]
    if not outer.path and all(outer.values >= each.values for each in inner):
        return outer
    if not inner:
        return outer
    # A few values beside the weights (class weights, a best accuracy) are no network.
    most = max(each.values for each in found)
    large = [each for each in found if each.values >= most / 2]
    return min(large, key=lambda each: (_rank(each), len(each.path)))


def _rank(candidate: _Candidate) -> int:
    return min(
        (WRAPPERS.index(name) for name in candidate.path if name in WRAPPERS),
        default=len(WRAPPERS),
    )


def _asked_for(
    found: list[_Candidate], path: Path, key: str, notes: list[str]
) -> Mapping[str, torch.Tensor]:
    """Return the entry of a name, or the part of a flat file whose names begin with it."""
    for each in found:
        if each.path and key in (each.key, each.path[-1]):
            return _cleaned(each, notes)
    nested = [each for each in found if each.path[:1] == (key,)]
    if nested:
        return _cleaned(_likeliest(nested), notes)
    # Behind what DataParallel and torch.compile put before the names.
    start = re.compile(rf"(?:module\.|_orig_mod\.)*{re.escape(key.removesuffix('.'))}\.")
    for each in found:
        part = {
            name[match.end() :]: value
            for name, value in each.tensors.items()
            if (match := start.match(name))
        }
        if part:
            left = len(each.tensors) - len(part)
            notes.append(f"took the {len(part)} tensors under '{key}'; {left} others were left")
            return part
    keys = [each.key for each in found if each.path]
    keys += sorted({name.partition(".")[0] for each in found for name in each.tensors})
    raise unknown("key of the checkpoint", key, keys)


def _nothing_in(value: Any, path: Path) -> CheckpointError:
    items = dict(value) if isinstance(value, Mapping) else {}
    names = [str(name) for name in items]
    if any(getattr(item, "is_array", False) for item in items.values()):
        return CheckpointError(
            f"{path} holds NumPy arrays, not tensors",
            remedy="save them as safetensors (safetensors.numpy.save_file)",
        )
    training = [name for name in names if any(word in name.lower() for word in _OF_TRAINING)]
    if training:
        return CheckpointError(
            f"{path} holds no named tensors but the state of a training ({_quoted(training)})",
            remedy="name the file with the weights themselves",
        )
    held = f" (it holds {_quoted(names)})" if names else " (it is empty)"
    return CheckpointError(f"{path} holds no named tensors{held}")


def _cleaned(candidate: _Candidate, notes: list[str]) -> dict[str, torch.Tensor]:
    """Set aside what is no layer's: numbers, texts, counters of training programs."""
    counters = [
        name
        for name, value in candidate.tensors.items()
        if name.rpartition(".")[2] in _COUNTERS or (value.dim() == 0 and "." not in name)
    ]
    aside = [*candidate.others, *counters]
    if aside:
        notes.append(f"left aside what is no layer's: {_quoted(aside)}")
    return {name: value for name, value in candidate.tensors.items() if name not in counters}


def _quoted(names: list[str]) -> str:
    rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(f"'{name}'" for name in names[:4]) + rest
