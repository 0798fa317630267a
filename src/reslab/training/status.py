"""status.json: what became of a run, honest whatever happens."""

from __future__ import annotations

import json
from typing import Any

from reslab.errors import MachineError, ReslabError
from reslab.training.observe import Observer
from reslab.training.rundir import RunDirectory
from reslab.training.step import Training

FILE = "status.json"
INTERNAL = 1  # the exit code of an error that nobody foresaw
_STATES = {6: "diverged", 130: "interrupted", 143: "interrupted"}


def write(
    run: RunDirectory,
    training: Training,
    state: str,
    *,
    wall_s: float | None = None,
    train_images_per_s: float | None = None,
) -> None:
    """Write where a run stands ("running" or "finished")."""
    position = training.state
    value = {
        **_outcome(state, "", 0 if state == "finished" else None),
        "step": position.step,
        "total_steps": position.plan.total_steps,
        "epoch": round(position.step * training.recipe.batch_size / training.num_train, 4),
        "wall_s": wall_s,
        "train_images_per_s": train_images_per_s,
    }
    run.write_json(FILE, value)


def write_failure(run: RunDirectory, error: Exception, observer: Observer) -> None:
    """Write why a run ended; a full disk must not hide the error itself."""
    exit_code = error.exit_code if isinstance(error, ReslabError) else INTERNAL
    message = str(error) if isinstance(error, ReslabError) else f"{type(error).__name__}: {error}"
    try:
        kept: dict[str, Any] = json.loads((run.path / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    state = _STATES.get(exit_code, "failed")
    try:
        run.write_json(FILE, kept | _outcome(state, message, exit_code))
    except MachineError:
        observer.note("the status could not be written either")


def _outcome(state: str, message: str, exit_code: int | None) -> dict[str, Any]:
    return {"state": state, "message": message, "exit_code": exit_code}
