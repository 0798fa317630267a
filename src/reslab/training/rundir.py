"""A run directory: everything about one training, and the names of its files."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reslab import durable
from reslab.data import record
from reslab.errors import CheckpointError, MachineError, UsageError
from reslab.evaluate.metrics import metrics_in
from reslab.training.state import Row

COLUMNS = ("epoch", "step", "lr", "train_loss", "train_error_pct")
MEASURED = ("val", "ema_val", "test")  # each with a column for each metric of `metrics_in("rows")`


class RunDirectory:
    """The files of a run.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.evaluation = path / "evaluation"
        self.model = path / "model"
        self.report = path / "report.html"
        self.images = path / record.FILE
        self.lock_file = path / "run.lock"

    def write_json(self, name: str, value: Any) -> None:
        """Write one of the JSON files, all of it or nothing."""
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        durable.write_file(self.path / name, text.encode("utf-8", "surrogateescape"))

    def read_json(self, name: str) -> Any:
        """Read one of the JSON files.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        path = self.path / name
        try:
            return json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.path} is no run directory: {name} is missing") from error
        except ValueError as error:
            raise CheckpointError(f"{path} is damaged: {error}") from error

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Write results.csv: deterministic columns only, so that equal runs have equal bytes."""
        measured = [f"{what}_{metric.name}" for what in MEASURED for metric in metrics_in("rows")]
        # Those of a metric that was registered when the run began, and is not in this process.
        prefixes = tuple(f"{what}_" for what in MEASURED)
        others = [name for row in rows for name in row if name.startswith(prefixes)]
        columns = dict.fromkeys([*COLUMNS, *measured, *others])
        used = [c for c in columns if any(row.get(c) is not None for row in rows)]
        text = io.StringIO()
        writer = csv.DictWriter(text, used, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        durable.write_file(self.path / "results.csv", text.getvalue().encode())

    def append_event(self, event: Mapping[str, Any]) -> None:
        """Append a line to events.jsonl, where times and throughput are."""
        durable.append_line(self.path / "events.jsonl", json.dumps(event, ensure_ascii=False))

    def forget_events_after(self, step: int) -> None:
        """Drop the events of steps that a resumed run will take again."""
        path = self.path / "events.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event.get("step", 0) <= step:
                kept.append(line)
        durable.write_file(path, "".join(line + "\n" for line in kept).encode())


def create(path: Path | None, stem: str) -> RunDirectory:
    """Make a new run directory; one that holds something is never written into.

    Args:
        path: where the user wants it, or None for the next free ``runs/<stem>-<number>``.
        stem: what to call it otherwise.

    Raises:
        UsageError: the folder is not empty.
        MachineError: it cannot be made.
    """
    try:
        if path is not None:
            check_free(path)
            path.mkdir(parents=True, exist_ok=True)
            return RunDirectory(path)
        clean = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "run"
        parent = Path("runs")
        parent.mkdir(exist_ok=True)
        number = 1
        while True:
            try:
                (parent / f"{clean}-{number}").mkdir()
                return RunDirectory(parent / f"{clean}-{number}")
            except FileExistsError:
                number += 1
    except OSError as error:
        raise MachineError(
            f"cannot make the run directory {path or 'runs/'}: {error.strerror}",
            remedy="choose another place with --out",
        ) from error


def check_free(path: Path) -> None:
    """Refuse an output folder that holds something or cannot be made."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(
            f"{path} exists and is not empty",
            remedy="name another --out, or go on with it by --resume",
        )
    above = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise MachineError(
            f"{path} cannot be made: {above} is not a folder that can be written",
            remedy="choose another place with --out",
        )
