"""What was measured, kept for this machine: one small file a task, in the user's cache."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

from reslab import machine
from reslab.data.chunks import available_cores
from reslab.durable import write_file
from reslab.errors import MachineError
from reslab.plan.task import StepCost, Task

# Numbers of a recipe that a step costs the same with.
WITHOUT_COST = ("name", "epochs", "steps", "lr", "momentum", "weight_decay", "schedule")
# What decides how fast the arithmetic runs, besides the machine.
VARIABLES = ("OMP_NUM_THREADS", "RESLAB_NATIVE")


def key_of(task: Task) -> str:
    """Return the name that a measurement is kept under (hexadecimal)."""
    asked = task.to_json()
    asked["recipe"] = {k: v for k, v in asked["recipe"].items() if k not in WITHOUT_COST}
    text = json.dumps({"task": asked, "machine": machine_of(task.device)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def machine_of(device_name: str) -> dict[str, Any]:
    """Return what tells machines, and versions of what runs on them, apart."""
    from reslab import __version__

    device = torch.device(device_name)
    return {
        "cpu": machine.processor_name(),
        "threads": available_cores(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "reslab": __version__,
        "variables": {name: os.environ.get(name, "") for name in VARIABLES},
    }


def folder() -> Path:
    """Return where measurements are kept: in $RESLAB_CACHE or ~/.cache/reslab."""
    return Path(os.environ.get("RESLAB_CACHE") or "~/.cache/reslab").expanduser() / "plan"


def recall(key: str) -> StepCost | None:
    """Return a measurement that was kept, or None."""
    try:
        value = json.loads((folder() / f"{key}.json").read_text(encoding="utf-8"))
        return StepCost(**value)
    except (OSError, ValueError, TypeError):  # not there, or not what `keep` writes: measure anew
        return None


def keep(key: str, cost: StepCost) -> None:
    """Keep a measurement; a cache that cannot be written is no reason to fail."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        write_file(folder() / f"{key}.json", json.dumps(dataclasses.asdict(cost)).encode())
    except (OSError, MachineError):
        return
