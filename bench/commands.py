"""An arm that is a command line: one unit of work is to run it once, from start to end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.session import Session

ROOT = Path(__file__).parent.parent  # where `-m bench...` is found


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Run the command as often as each chunk says; once before, for the disk's sake."""
    argv = [sys.executable, *settings["argv"]]
    _run(argv)
    session.ready()
    for units in session.chunks():
        began = time.perf_counter()
        for _ in range(units):
            _run(argv)
        session.answer(units, time.perf_counter() - began)


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd=ROOT)
