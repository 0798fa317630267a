"""The worker's end of the line: it is told how much to do, and says how long that took."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import IO, Any

CHECKED = "checked.npz"  # in the arm's own folder: what its check found
SHARED = "shared.pt"  # in the case's folder: weights and batches that our arm gives the others
CHECK_RATE = 0.01  # learning rate of the first steps, which all arms must take alike
BEGAN = "BENCH_BEGAN"  # time.monotonic() of the parent when the process was started


class Ended(BaseException):
    """Nothing more is asked for. No `Exception`, so that no arm takes it for a failure."""


class Session:
    """What an arm talks to; lines of JSON each way.

    Args:
        commands: one line a chunk: {"units": n}; its end is the end of the session.
        answers: where answers go.
    """

    def __init__(self, commands: IO[str], answers: IO[str]) -> None:
        self._commands = commands
        self._answers = answers
        self._cold: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Note how long after its start the process has come to something."""
        self._cold[name] = round(time.monotonic() - float(os.environ[BEGAN]), 3)

    def ready(self, **facts: Any) -> None:
        """Say that the arm is warm; all until now was its cold time."""
        self.mark("ready_s")
        self._send({"cold": self._cold, "facts": facts})

    def wait(self) -> int:
        """Sleep until the next chunk is wanted; returns its units.

        Raises:
            Ended: there is none.
        """
        line = self._commands.readline()
        if not line:
            raise Ended
        return int(json.loads(line)["units"])

    def answer(self, count: int, seconds: float, **figures: Any) -> None:
        """Say what a chunk was: `count` of the case's unit in so many seconds."""
        self._send({"count": count, "seconds": seconds, "figures": figures})

    def chunks(self) -> Iterator[int]:
        """Yield the units of each chunk until the session ends."""
        while True:
            try:
                units = self.wait()
            except Ended:
                return
            yield units

    def _send(self, value: dict[str, Any]) -> None:
        self._answers.write(json.dumps(value) + "\n")
        self._answers.flush()
