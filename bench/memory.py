"""How much memory a process has used, from Linux's own books."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

EVERY_S = 0.05


class Children:
    """The greatest memory of a process's children together, while they are looked at.

    Pages that children share count once for each process that has them, in parts (proportional
    set size). Children come and go, so that looking at the end is not enough.

    Args:
        pid: their parent.
    """

    def __init__(self, pid: int) -> None:
        self.peak_kib = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._over.clear()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()

    def look(self) -> None:
        """Look once."""
        held = 0
        for child in _descendants(self._pid):
            try:
                held += _proportional(child)
            except OSError:  # it has just ended
                continue
        self.peak_kib = max(self.peak_kib, held)

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self.look()


def peak_mib(pid: int, children: Children) -> dict[str, float]:
    """Return the peak of a process, and that peak with its children's, MiB.

    Empty where the system does not tell.
    """
    try:
        peak = _status(pid, "VmHWM")
    except OSError:
        return {}
    children.look()
    whole = peak + children.peak_kib
    return {"peak_mib": round(peak / 1024, 1), "with_children_mib": round(whole / 1024, 1)}


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def _proportional(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    except OSError:  # it has just ended
        return found
    return found
