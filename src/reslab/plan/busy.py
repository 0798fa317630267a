"""How much of the processors other programs take while something is measured."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from reslab.data.preprocess import available_cores


class Others:
    """The share of the processors that other programs take from now on.

    Processes that this one starts, as a compiler's, are others too.
    """

    def __init__(self) -> None:
        self._began = self._read()

    def share(self) -> float:
        """Return what they took so far of the processors this process may use, in [0, 1]."""
        (wall, own, busy), now = self._began, self._read()
        elapsed = (now[0] - wall) * available_cores()
        return min(1.0, max(0.0, (now[2] - busy) - (now[1] - own)) / elapsed) if elapsed else 0.0

    @staticmethod
    def _read() -> tuple[float, float, float]:
        own, wall = time.process_time(), time.perf_counter()
        busy = busy_s()
        return wall, own, own if busy is None else busy


def busy_s() -> float | None:
    """Return how long the processors that this process may use were busy since the machine began.

    Time that a hypervisor gave to other machines counts too. None where the system does not tell.
    """
    try:
        text = Path("/proc/stat").read_text(encoding="ascii")
    except OSError:
        return None
    allowed = os.sched_getaffinity(0)
    ticks = 0
    for number, counts in re.findall(r"^cpu(\d+) (.+)$", text, re.MULTILINE):
        if int(number) in allowed:
            user, nice, system, _idle, _waiting, *others = map(int, counts.split()[:8])
            ticks += user + nice + system + sum(others)
    return ticks / os.sysconf("SC_CLK_TCK")
