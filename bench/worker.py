"""The process of one arm: `python -m bench.worker check|measure`, used by the harness.

The arm's module and settings come as JSON on the first line of standard input. What it prints
goes to standard error, so that nothing gets between the answers.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from bench.session import CHECKED, Ended, Session


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    arm = json.loads(sys.stdin.readline())
    settings = arm["settings"]
    module = importlib.import_module(arm["module"])
    if sys.argv[1] == "check":
        save(Path(settings["own"]) / CHECKED, module.check(settings))
        return
    session = Session(sys.stdin, answers)
    with contextlib.suppress(Ended):
        module.measure(session, settings)


def save(path: Path, found: dict[str, Any]) -> None:
    """Write what an arm's check has found, numbers and arrays by name."""
    import numpy as np

    np.savez(path, **{key: np.asarray(value) for key, value in found.items()})


if __name__ == "__main__":
    main()
