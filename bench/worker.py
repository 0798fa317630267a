"""The process of one arm, a `reslab.child.Child` of the harness.

What to do, the arm's module and its settings come first; see `bench.session` for what follows.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from bench.session import CHECKED, Session
from reslab.child import Parent


def main(parent: Parent) -> int:
    """Check or measure an arm until nothing more is wanted."""
    arm = parent.recv()
    settings = arm["settings"]
    module = importlib.import_module(arm["module"])
    if arm["mode"] == "check":
        save(Path(settings["own"]) / CHECKED, module.check(settings))
        parent.send({"checked": True})
    else:
        module.measure(Session(parent), settings)
    return 0


def save(path: Path, found: dict[str, Any]) -> None:
    """Write what an arm's check has found, numbers and arrays by name."""
    import numpy as np

    np.savez(path, **{key: np.asarray(value) for key, value in found.items()})
