"""Arms for the tests of the harness: they note each chunk in a file, and fail where told to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.session import Session

from reslab.errors import DataError

CHILD = "import time; held = bytearray(80 << 20); time.sleep(0.4)"


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Note the arm's letter for each chunk."""
    if settings.get("dies") == "at start":
        raise RuntimeError("no compiler here")
    if settings.get("dies") == "with a reason":
        raise DataError("there are no images")
    time.sleep(settings.get("starts_after", 0))
    print("what an arm prints must not get between the answers")
    session.ready(letter=settings["letter"], told=os.environ.get("TOLD", ""))
    for units in session.chunks():
        began = time.perf_counter()
        time.sleep(0.002 * units / settings["speed"])
        if settings.get("hangs"):
            started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            Path(settings["log"]).write_text(f"{os.getpid()} {started.pid}\n")
            started.wait()
        if settings.get("child"):
            subprocess.run([sys.executable, "-c", CHILD], check=True)
        with Path(settings["log"]).open("a") as log:
            log.write(settings["letter"])
        session.answer(units, time.perf_counter() - began)


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the arm's answer."""
    if settings.get("dies") == "at check":
        raise RuntimeError("no answer")
    return {"answer": [1.0, settings.get("answer", 2.0)]}
