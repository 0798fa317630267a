"""How much memory a run may take, and how much a process has taken."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

import torch

from reslab.plan.task import MIB

# What stays for everything else.
SHARE = 0.9


def available_mib(device_name: str) -> float | None:
    """Return the memory that is free for a run now, MiB; None where the system does not tell.

    On a processor that is what Linux calls available, or what the control group of a container
    still grants where that is less; on a GPU, what no other process holds.
    """
    device = torch.device(device_name)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return SHARE * free / MIB
    found = [size for size in (_system_bytes(), _group_bytes()) if size is not None]
    return SHARE * min(found) / MIB if found else None


def process_mib(largest: bool = False) -> float:
    """Return the memory of this process now, or the largest so far, MiB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux: only the largest is told
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / MIB if sys.platform == "darwin" else most * 1024 / MIB
    # Not ru_maxrss here: it begins with what the parent process had.
    match = re.search(rf"^{'VmHWM' if largest else 'VmRSS'}:\s+(\d+) kB$", status, re.MULTILINE)
    assert match is not None, status
    return int(match[1]) * 1024 / MIB


def _system_bytes() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _group_bytes() -> int | None:
    """Return what the container may still take; memory that only caches files is free."""
    folder = Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most = (folder / limit).read_text(encoding="ascii").strip()
            now = int((folder / used).read_text(encoding="ascii"))
            statistics = (folder / limit).with_name("memory.stat").read_text(encoding="ascii")
        except (OSError, ValueError):
            continue
        if not most.isdigit():
            return None
        cached = re.search(r"^(?:total_)?inactive_file (\d+)$", statistics, re.MULTILINE)
        return int(most) - now + (int(cached[1]) if cached else 0)
    return None
