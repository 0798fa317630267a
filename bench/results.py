"""Results on disk: one JSON a machine, and the table and picture made from it."""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cases import CASES
from bench.chart import chart
from bench.table import table
from reslab.child import Child

FILE, TABLE, CHART = "results.json", "table.md", "chart.svg"
PACKAGES = ("torch", "torchvision", "timm", "onnxruntime", "openvino", "numpy", "pillow")
ROOT = Path(__file__).parent.parent
HERE = ROOT / "bench" / "results"
CEILINGS_S = 300.0
MEASURED = ("src", "bench", "pyproject.toml", "constraints.txt")


class Record:
    """The results of one machine; each case replaces its older result.

    Args:
        folder: where they are.
        value: what results.json holds.
    """

    def __init__(self, folder: Path, value: dict[str, Any]) -> None:
        self.folder = folder
        self.value = value
        self._commit = commit()  # before anything is measured: nobody knows how long that takes

    def put(self, name: str, found: dict[str, Any]) -> None:
        """Write a case's result, with when and with what it was measured."""
        versions = {package: version(package) for package in PACKAGES}
        self.value["cases"][name] = {
            **found,
            "measured": datetime.date.today().isoformat(),
            "commit": self._commit,
            "versions": {key: value for key, value in versions.items() if value},
        }
        (self.folder / FILE).write_text(json.dumps(self.value, indent=1) + "\n")


def opened(folder: Path, *, quick: bool) -> Record:
    """Read what is there, and measure the machine's ceilings anew."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    value = json.loads(file.read_text()) if file.exists() else {"cases": {}}
    kind = instructions()
    with Child("bench.ceilings", path=[ROOT], inherit_stderr=True) as child:
        child.send({"quick": quick})
        ceilings = child.recv(CEILINGS_S)
    value["machine"] = {
        "processor": processor(),
        "instructions": kind["instructions"],
        "bf16": kind["bf16"],
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    value["ceilings"] = ceilings
    value["quick"] = quick
    return Record(folder, value)


def draw(folder: Path) -> None:
    """Write the table and the picture of what was measured."""
    value = json.loads((folder / FILE).read_text())
    order = [*CASES, *value["cases"]]
    value["cases"] = dict(sorted(value["cases"].items(), key=lambda item: order.index(item[0])))
    (folder / TABLE).write_text(table(value))
    (folder / CHART).write_text(chart(value))


def processor() -> str:
    """Return the processor's own name."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


@functools.cache
def instructions() -> Mapping[str, Any]:
    """Return what kind of processor this is, as `bench.ceilings.instructions` says it."""
    with Child("bench.ceilings", path=[ROOT], inherit_stderr=True) as child:
        child.send(None)
        answer: Mapping[str, Any] = child.recv(CEILINGS_S)
        return answer


def machine_name() -> str:
    """Return a folder name for this kind of machine: its processor, instructions and cores.

    One name stands for very different processors ("AMD EPYC"); the widest instructions are named
    where bf16 is not among them.
    """
    kind = instructions()
    name = f"{processor()} {'' if kind['bf16'] else kind['instructions']}".lower()
    words = re.sub(r"[^a-z0-9]+", "-", name).strip("-")
    return f"{words}-{os.cpu_count()}-cores"


def version(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str:
    """Return the commit that is measured, with a mark where what runs differs from it."""
    try:
        name = git("rev-parse", "--short", "HEAD")
        changed = git(
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            *MEASURED,
            f":!{HERE.relative_to(ROOT)}",
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}-dirty" if changed else name


def git(*words: str) -> str:
    """Return what git says of this checkout."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
