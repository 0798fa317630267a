"""The worker's end of the line: it is told how much to do, and says how long that took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from reslab.child import Parent

CHECKED = "checked.npz"  # in the arm's own folder: what its check found
SHARED = "shared.pt"  # in the case's folder: weights and batches that our arm gives the others
CHECK_RATE = 0.01  # learning rate of the first steps, which all arms must take alike
BEGAN = "BENCH_BEGAN"  # time.monotonic() of the parent when the process was started


class Session:
    """What an arm talks to; its process is ended when nothing more is wanted, or the bench is gone.

    Args:
        parent: the harness: {"units": n} for each chunk.
    """

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._cold: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Note how long after its start the process has come to something."""
        self._cold[name] = round(time.monotonic() - float(os.environ[BEGAN]), 3)

    def ready(self, **facts: Any) -> None:
        """Say that the arm is warm; all until now was its cold time."""
        self.mark("ready_s")
        self._send({"cold": self._cold, "facts": facts})

    def wait(self) -> int:
        """Sleep until the next chunk is wanted; returns its units."""
        return int(self._parent.recv()["units"])

    def answer(self, count: int, seconds: float, **figures: Any) -> None:
        """Say what a chunk was: `count` of the case's unit in so many seconds."""
        self._send({"count": count, "seconds": seconds, "figures": figures})

    def chunks(self) -> Iterator[int]:
        """Yield the units of each chunk until the process is ended."""
        while True:
            yield self.wait()

    def _send(self, value: dict[str, Any]) -> None:
        self._parent.send(value)
