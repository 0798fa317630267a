"""The one writer of run directories. Everything is written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from reslab import durable
from reslab.data import record
from reslab.errors import MachineError, ReslabError, UsageError
from reslab.evaluate.metrics import metrics_in
from reslab.runs import files
from reslab.runs.config import Config

if TYPE_CHECKING:
    from reslab.evaluate.evaluation import Evaluation
    from reslab.training.state import EpochRow

COLUMNS = ("epoch", "step", "lr", "train_loss", "train_error_pct")
MEASURED = ("val", "ema_val", "test")  # each with a column for each metric of `metrics_in("rows")`
INTERNAL = 1  # the exit code of an error that nobody foresaw
_STATES = {6: "diverged", 129: "interrupted", 130: "interrupted", 143: "interrupted"}


class Position(TypedDict):
    """Where a run stands, in status.json: see `RunDirectory.write_status`."""

    step: int
    total_steps: int
    epoch: float


class RunDirectory:
    """Writes the files of a run.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / files.CHECKPOINTS
        self.model = path / files.MODEL
        self.lock_file = path / files.LOCK

    def write_json(self, name: str, value: Any) -> None:
        """Write one of the JSON files."""
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        durable.write_file(self.path / name, text.encode("utf-8", "surrogateescape"))

    def write_config(self, config: Config) -> None:
        """Write config.json."""
        self.write_json(files.CONFIG, config.to_json())

    def write_record(self, images: record.ImageRecord) -> None:
        """Write images.safetensors."""
        durable.write_file(self.path / record.FILE, images.to_bytes())

    def write_rows(self, rows: Sequence[EpochRow]) -> None:
        """Write results.csv: deterministic columns only, so that equal runs have equal bytes."""
        measured = [f"{what}_{metric.name}" for what in MEASURED for metric in metrics_in("rows")]
        # Those of a metric that was registered when the run began, and is not in this process.
        prefixes = tuple(f"{what}_" for what in MEASURED)
        others = [name for row in rows for name in row if name.startswith(prefixes)]
        columns = dict.fromkeys([*COLUMNS, *measured, *others])
        used = [c for c in columns if any(row.get(c) is not None for row in rows)]
        text = io.StringIO()
        # "\n" on every system, and repr of floats: rows survive the round trip bit for bit.
        writer = csv.DictWriter(text, used, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        durable.write_file(self.path / files.RESULTS, text.getvalue().encode())

    def append_event(self, event: Mapping[str, Any]) -> None:
        """Append a line to events.jsonl, where times and throughput are."""
        durable.append_line(self.path / files.EVENTS, json.dumps(event, ensure_ascii=False))

    def forget_events_after(self, step: int) -> None:
        """Drop the events of steps that a resumed run will take again."""
        path = self.path / files.EVENTS
        if not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:  # half a line, of a process that was killed as it wrote
                continue
            if event.get("step", 0) <= step:
                kept.append(line)
        durable.write_file(path, "".join(line + "\n" for line in kept).encode())

    def write_evaluation(self, split: str, evaluation: Evaluation) -> None:
        """Write what the finished network said of the images of a split."""
        import torch
        from safetensors import torch as safetensors_torch

        folder = self.path / files.EVALUATION
        folder.mkdir(exist_ok=True)
        tensors = {
            "logits": torch.from_numpy(evaluation.logits),
            "labels": torch.from_numpy(evaluation.labels),
            "samples": torch.from_numpy(evaluation.samples),
        }
        durable.write_file(folder / f"{split}.safetensors", safetensors_torch.save(tensors))
        self.write_json(f"{files.EVALUATION}/{split}.json", evaluation.to_json())

    def write_status(
        self,
        state: str,
        *,
        step: int,
        total_steps: int,
        epoch: float,
        wall_s: float | None = None,
        train_images_per_s: float | None = None,
    ) -> None:
        """Write status.json: where a run stands ("running" or "finished").

        Args:
            state: of the two.
            step: updates done.
            total_steps: updates planned.
            epoch: passes over the training images done, with the fraction.
            wall_s: time of the whole run, seconds; None while it is running.
            train_images_per_s: median throughput; None while it is running.
        """
        position = {
            "step": step,
            "total_steps": total_steps,
            "epoch": round(epoch, 4),
            "wall_s": wall_s,
            "train_images_per_s": train_images_per_s,
        }
        end = _end(state, "", 0 if state == "finished" else None)
        self.write_json(files.STATUS, end | position)

    def write_failure(self, error: Exception, note: Callable[[str], None]) -> None:
        """Write why a run ended; a full disk must not hide the error itself.

        Args:
            error: the reason.
            note: told where it cannot be written.
        """
        known = isinstance(error, ReslabError)
        exit_code = error.exit_code if isinstance(error, ReslabError) else INTERNAL
        message = str(error) if known else f"{type(error).__name__}: {error}"
        kept = files.read_object(self.path, files.STATUS)
        end = _end(_STATES.get(exit_code, "failed"), message, exit_code)
        try:
            self.write_json(files.STATUS, kept | end)
        except MachineError:
            note("the status could not be written either")


def _end(state: str, message: str, exit_code: int | None) -> dict[str, Any]:
    return {"state": state, "message": message, "exit_code": exit_code}


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
            remedy="name another --out, or continue it with --resume",
        )
    above = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise MachineError(
            f"{path} cannot be made: {above} is not a folder that can be written",
            remedy="choose another place with --out",
        )
