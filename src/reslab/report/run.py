"""A run directory as it is: finished, unfinished or damaged, read without the trainer."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reslab.aliases import current_config
from reslab.display.short import short_repr
from reslab.errors import DataError, ReslabError

if TYPE_CHECKING:
    from reslab.evaluate.metrics import Evaluation

Floats = npt.NDArray[np.float64]
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run directory holds.

    Args:
        folder: the run directory.
        config: what was asked for and chosen; never empty.
        status: how far it came; empty where nothing was written yet.
        results: column name -> one value an epoch, NaN where a cell is empty.
        events: what happened, in order.
        check: what the check of the data found; empty where there was none.
        splits: "test", "val" or, where there is neither, "train" -> their evaluation.
        temperature: what the saved model divides its logits by, or None without a model.
        gaps: files that are damaged, one sentence each.
    """

    folder: Path
    config: Mapping[str, Any]
    status: Mapping[str, Any]
    results: Mapping[str, Floats]
    events: Sequence[Mapping[str, Any]]
    check: Mapping[str, Any]
    splits: Mapping[str, Evaluation]
    temperature: float | None
    gaps: Sequence[str]

    __repr__ = short_repr

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return tuple(str(name) for name in self.section("dataset").get("classes", ()))

    @property
    def state(self) -> str:
        """How the run stands: running, finished, interrupted, diverged or failed."""
        return str(self.status.get("state", "running"))

    @property
    def final_split(self) -> str:
        """The split that says how good the network is: test, else validation, else train."""
        return next((name for name in ("test", "val") if name in self.splits), "train")

    def section(self, name: str) -> Mapping[str, Any]:
        """Return an object of the configuration, empty where there is none."""
        value = self.config.get(name)
        return value if isinstance(value, dict) else {}

    def column(self, name: str) -> Floats:
        """Return a column of the results, all NaN where there is none."""
        length = len(next(iter(self.results.values()), ()))
        return self.results.get(name, np.full(length, math.nan))


def read_run(folder: Path) -> Run:
    """Read what a run directory holds; damage is noted, not fatal.

    Raises:
        DataError: not a run directory, or its configuration cannot be read.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise DataError(
            f"{folder} is not a run directory (it has no config.json)",
            remedy="name the folder that 'reslab train' wrote",
        )
    gaps: list[str] = []
    config = current_config(_read_object(path, gaps))
    if not config:
        raise DataError(f"{path} is damaged", remedy="nothing can be said of this run")
    names = tuple(str(n) for n in config.get("dataset", {}).get("classes", ()))
    splits = {}
    for split in ("train", "val", "test"):
        path = folder / "evaluation" / f"{split}.safetensors"
        evaluation = _read_evaluation(path, names, gaps)
        if evaluation is not None:
            splits[split] = evaluation
    model = _read_object(folder / "model" / "model.json", gaps)
    return Run(
        folder=folder,
        config=config,
        status=_read_object(folder / "status.json", gaps),
        results=_read_results(folder / "results.csv", gaps),
        events=_read_events(folder / "events.jsonl", gaps),
        check=_read_object(folder / "check.json", gaps),
        splits=splits,
        temperature=float(model["temperature"]) if "temperature" in model else None,
        gaps=gaps,
    )


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _read_object(path: Path, gaps: list[str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(_text(path))
    except (OSError, ValueError) as error:
        gaps.append(f"{path.name} cannot be read ({error}).")
        return {}
    if not isinstance(value, dict):
        gaps.append(f"{path.name} is not an object.")
        return {}
    return value


def _read_events(path: Path, gaps: list[str]) -> list[Mapping[str, Any]]:
    if not path.is_file():
        return []
    events: list[Mapping[str, Any]] = []
    damaged = 0
    for line in _text(path).splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            damaged += 1
            continue
        if isinstance(value, dict):
            events.append(value)
    # A killed process may leave half a last line; more than that is damage.
    if damaged > 1:
        gaps.append(f"{path.name} has {damaged} lines that cannot be read.")
    return events


def _read_results(path: Path, gaps: list[str]) -> dict[str, Floats]:
    if not path.is_file():
        return {}
    rows = list(csv.DictReader(io.StringIO(_text(path))))
    if not rows:
        return {}
    columns = {}
    for name in rows[0]:
        try:
            columns[name] = np.array([float(row[name] or "nan") for row in rows])
        except (TypeError, ValueError):
            gaps.append(f"{path.name}: the column {name!r} holds something other than numbers.")
    return columns


def _read_evaluation(path: Path, classes: tuple[str, ...], gaps: list[str]) -> Evaluation | None:
    if not path.is_file():
        return None
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from reslab.evaluate.metrics import Evaluation

    try:
        tensors = load(path.read_bytes())
        return Evaluation(
            logits=tensors["logits"],
            labels=tensors["labels"].astype(np.int64),
            samples=tensors["samples"].astype(np.int64),
            classes=classes,
        )
    except (OSError, KeyError, ValueError, AssertionError, SafetensorError, ReslabError) as error:
        gaps.append(f"evaluation/{path.name} cannot be read ({error}).")
        return None
