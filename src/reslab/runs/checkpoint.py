"""Checkpoints: the state of a run as safetensors and JSON, found again after any crash."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from safetensors import torch as safetensors_torch
from torch import Tensor

from reslab import durable
from reslab.errors import CheckpointError
from reslab.training.state import TrainState

STATE = "state.json"
KEEP = 2
SCHEMA = 1
_NAME = re.compile(r"step-(\d{9})")

Tensors = dict[str, Tensor]
Found = tuple[TrainState, dict[str, Tensors]]


def save(folder: Path, state: TrainState, groups: dict[str, Tensors]) -> Path:
    """Save a checkpoint under its step, then remove those older than the last two.

    Args:
        folder: the run's checkpoints folder.
        state: the position.
        groups: tensors by file: "network", "optimizer", "ema" ...

    Raises:
        MachineError: the disk is full or read-only; earlier checkpoints stay as they are.
    """
    path = folder / f"step-{state.step:09d}"
    value = {"schema": SCHEMA, "state": state.to_json()}
    files: dict[str, bytes] = {STATE: json.dumps(value).encode()}
    for name, tensors in groups.items():
        files[f"{name}.safetensors"] = safetensors_torch.save(tensors)
    folder.mkdir(exist_ok=True)
    durable.save_directory(path, files)
    # Two, so that one that turns out to be damaged costs the time of one checkpoint, not the run.
    for old in _by_step(folder)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def save_best(folder: Path, state: TrainState, weights: Tensors) -> None:
    """Save the weights that were best so far, in place of the former best."""
    folder.mkdir(exist_ok=True)
    value = {"schema": SCHEMA, "step": state.best_step, "value": state.best_value}
    durable.save_directory(
        folder / "best",
        {STATE: json.dumps(value).encode(), "network.safetensors": safetensors_torch.save(weights)},
    )


def load_best(folder: Path) -> Tensors:
    """Read the best weights.

    Raises:
        CheckpointError: there are none, or they are damaged.
    """
    files = durable.read_directory(folder / "best")
    try:
        return dict(safetensors_torch.load(files["network.safetensors"]))
    except (KeyError, SafetensorError) as error:
        raise CheckpointError(f"{folder / 'best'} is not readable: {error}") from error


def load(path: Path) -> Found:
    """Read one checkpoint and check every byte of it.

    Raises:
        CheckpointError: it is damaged or was written by a newer version.
    """
    files = durable.read_directory(path)
    try:
        value = json.loads(files.pop(STATE))
        if value["schema"] > SCHEMA:
            raise CheckpointError(f"{path} was written by a newer reslab", remedy="upgrade reslab")
        state = TrainState.from_json(value["state"])
        groups = {
            name.removesuffix(".safetensors"): safetensors_torch.load(data)
            for name, data in files.items()
            if name.endswith(".safetensors")
        }
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint: {error}") from error
    return state, groups


def load_newest(folder: Path, note: Callable[[str], None]) -> Found | None:
    """Read the newest complete checkpoint by step; damaged ones are named and passed over.

    What a killed process left half written is for the one process that writes to put right before
    (`durable.recover`).
    """
    if not folder.is_dir():
        return None
    found = _by_step(folder)
    for path in reversed(found):  # by step, not by time: clocks go back, copies change times
        try:
            return load(path)
        except CheckpointError as error:
            note(f"passed over a damaged checkpoint: {error}")
    if found:
        raise CheckpointError(f"none of the {len(found)} checkpoints in {folder} is readable")
    return None


def _by_step(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and _NAME.fullmatch(p.name))
