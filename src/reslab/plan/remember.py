"""What steps were found to cost, kept for this machine in the user's cache."""

from __future__ import annotations

import os

import torch

from reslab import dataclass_json, machine
from reslab.durable import cache
from reslab.errors import UsageError
from reslab.machine import available_cores
from reslab.plan.task import StepCost, Task

KIND = "plan"
# Numbers of a recipe that a step costs the same with.
WITHOUT_COST = ("name", "epochs", "steps", "lr", "momentum", "weight_decay", "schedule")
# What decides how fast the arithmetic runs, besides the machine.
VARIABLES = ("OMP_NUM_THREADS", "RESLAB_NATIVE", "RESLAB_NATIVE_FLAGS")


def key_of(task: Task) -> str:
    """Return the name that a measurement is kept under (hexadecimal)."""
    from reslab import __version__

    asked = task.to_json()
    asked["recipe"] = {k: v for k, v in asked["recipe"].items() if k not in WITHOUT_COST}
    return cache.key_of(
        {
            "task": asked,
            "machine": machine.describe(torch.device(task.device)),
            "cores": available_cores(),
            "reslab": __version__,
            "variables": {name: os.environ.get(name, "") for name in VARIABLES},
        }
    )


def recall(key: str) -> StepCost | None:
    """Return a measurement that was kept, or None."""
    value = cache.recall(KIND, key)
    try:
        return dataclass_json.from_json(StepCost, value)
    except UsageError:  # not there, or not what `keep` writes: measure it
        return None


def keep(key: str, cost: StepCost) -> None:
    """Keep a measurement."""
    cache.keep(KIND, key, dataclass_json.to_json(cost))
