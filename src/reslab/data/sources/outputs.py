"""What reslab itself writes, and what of it may come to lie inside a data folder.

``cd photos; reslab train .`` puts its run below the images. Such folders hold no images to train
on, though some hold pictures; they are known by the files that only reslab writes together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePosixPath

from reslab.durable.cache import TAG

# What a folder is that holds all of these files.
MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a run", ("split.json", "config.json")),
    ("a run", ("split.json", "check.json")),  # one that was killed as it began
    ("a model", ("model.json", "model.safetensors")),
    ("a study", ("study.json", "study.lock")),
    ("a study", ("study.json", "results.json")),
    ("a report", ("report.md", "report.html")),
    ("a look", ("look.html",)),
    ("a cache", (TAG,)),
)
_NAMES = frozenset(name for _, mark in MARKS for name in mark)
_DEEPEST = 4


def output_in(folder: str, *, deepest: int = _DEEPEST) -> str:
    """Say what of ours a folder is ("a run"), or what all folders in it are; else return "".

    Args:
        folder: the folder; hidden files and empty folders in it do not count.
        deepest: so many folders further down are looked at.
    """
    for kind, mark in MARKS:
        if all(os.path.lexists(os.path.join(folder, name)) for name in mark):
            return kind
    if deepest == 0:
        return ""
    kinds: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    return ""
                inside = output_in(entry.path, deepest=deepest - 1)
                if not inside and os.listdir(entry.path):
                    return ""
                kinds.add(inside.removeprefix("a folder of "))
    except OSError:
        return ""
    kinds.discard("")
    return f"a folder of {' and '.join(map(_plural, sorted(kinds)))}" if kinds else ""


def output_folders(names: Iterable[str]) -> set[str]:
    """Return the folders of an archive that are ours, from the names of its files."""
    inside: dict[str, set[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        if path.name in _NAMES:
            inside.setdefault(str(path.parent), set()).add(path.name)
    return {
        folder
        for folder, there in inside.items()
        if folder != "." and any(there.issuperset(mark) for _, mark in MARKS)
    }


def _plural(kind: str) -> str:
    return kind.removeprefix("a ") + "s" if kind.startswith("a ") else kind
