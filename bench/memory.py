"""How much memory a process has used, from Linux's own books."""

from __future__ import annotations

from pathlib import Path


def peak_mib(pid: int) -> dict[str, float]:
    """Return the peak of a process, and that peak with what its children hold now, MiB.

    Pages that children share with it count once for each process that has them, in parts
    (proportional set size). Empty where the system does not tell.
    """
    try:
        peak = _status(pid, "VmHWM")
        below = sum(_proportional(child) for child in _descendants(pid))
    except OSError:
        return {}
    return {"peak_mib": round(peak / 1024, 1), "with_children_mib": round((peak + below) / 1024, 1)}


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
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found
