"""Findings -> a shell script that mends a folder: everything is moved aside, nothing deleted."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from reslab.data.collect import Finding
from reslab.data.sources.tree import split_word
from reslab.display.names import shown

_ASIDE = {
    "unreadable",
    "split-empty",
    "class-empty",
    "class-extra",
    "link-loop",
    "link-broken",
    "link-outside",
}


def mending_plan(findings: Sequence[Finding], root: Path) -> str:
    """Write the plan to mend a data set, to be read first and then run with ``sh``.

    Files that cannot stay are moved to a folder beside the data, of the same layout. Of equal
    images one stays: a file rather than a link, which may lead to it; in test rather than val, in
    val rather than train. What takes a look (near duplicates, labels that contradict each other)
    is written as comments.

    Args:
        findings: of a check.
        root: the folder that was checked, or the CSV file; a CSV's images stay where they are,
            and the plan says which lines to take out.
    """
    root = root.absolute()
    if root.is_file():
        return _table_plan(findings, root)
    place = os.path.realpath(root)  # a folder beside ".." is found by its true name only
    lines = [
        "#!/bin/sh",
        f"# Plan to mend {shown(place)}",
        "# Read it, take out what you do not want, then run it with sh.",
        "# Nothing is deleted: files move to the folder named here.",
        "set -eu",
        f"data={shlex.quote(place)}",
        f"aside={shlex.quote(place + '.aside')}",
        'aside() { mkdir -p -- "$aside/$(dirname -- "$1")" && mv -- "$data/$1" "$aside/$1"; }',
    ]
    moved: set[str] = set()
    for finding in findings:
        steps = list(_steps(finding, root, moved))
        if steps:
            lines += ["", f"# {finding.severity}: {finding.kind}: {shown(finding.message)}"]
            lines += [f"# -> {shown(finding.remedy)}"] if finding.remedy else []
            lines += steps
    if len(lines) == 8:
        lines += ["", "# There is nothing to mend."]
    return "\n".join(lines) + "\n"


def _table_plan(findings: Sequence[Finding], table: Path) -> str:
    lines = ["#!/bin/sh", f"# Plan to mend {shown(table)}: edit these lines of it"]
    for finding in findings:
        lines += ["", f"# {finding.severity}: {finding.kind}: {shown(finding.message)}"]
        lines += [f"# -> {shown(finding.remedy)}"] if finding.remedy else []
        lines += [f"#    {shown(path)}" for path in finding.paths]
    return "\n".join(lines) + "\n"


def _steps(finding: Finding, root: Path, moved: set[str]) -> Iterator[str]:
    """Give the lines for one finding; a file is moved once, however often it is named."""
    inside = [_relative(path, root) for path in finding.paths]
    there = [path for path in inside if path is not None]
    if finding.kind in _ASIDE:
        yield from _moves(there, root, moved)
        if finding.kind == "class-extra":
            folders = sorted({os.path.dirname(path) for path in there})
            yield from (f'rmdir -- "$data"/{shlex.quote(path)} || :' for path in folders)
    elif finding.kind in ("duplicate", "duplicate-across"):
        names: dict[str, str] = {}
        for path in _by_worth(there, root):
            names.setdefault(_place(path, root), path)
        left = [path for place, path in names.items() if place not in moved]
        yield from _moves(left[1:], root, moved)
    elif finding.kind in ("label-conflict", "near-label-conflict"):
        yield from _comments(there)
    elif finding.kind in ("near-duplicate", "near-duplicate-across"):
        yield from _comments(_by_worth(there, root)[1:])


def _by_worth(paths: Sequence[str], root: Path) -> list[str]:
    """Sort equal images by what is to stay, which comes first."""

    def worth(path: str) -> tuple[bool, int, str]:
        splits = [split for part in path.split(os.sep)[:-1] if (split := split_word(part))]
        rank = {"test": 0, "val": 1}.get(splits[0] if splits else "train", 2)
        return os.path.islink(root / path), rank, path

    return sorted(paths, key=worth)


def _place(path: str, root: Path) -> str:
    """Name the file or link itself: folders that are links give it several paths."""
    folder, name = os.path.split(root / path)
    return os.path.join(os.path.realpath(folder), name)


def _moves(paths: Sequence[str], root: Path, moved: set[str]) -> Iterator[str]:
    for path in paths:
        place = _place(path, root)
        if place not in moved:
            moved.add(place)
            yield f"aside {shlex.quote(path)}"


def _comments(paths: Sequence[str]) -> Iterator[str]:
    """Give moves that are commented out; a newline in a name must not end the comment."""
    for path in paths:
        if "\n" in path:
            yield f"# (by hand) {shown(path)}"
        else:
            yield f"# aside {shlex.quote(path)}"


def _relative(path: str, root: Path) -> str | None:
    """Return a path relative to the root, or None for what lies elsewhere or is no path."""
    try:
        parts = Path(path).absolute().relative_to(root).parts
    except ValueError:
        return None
    return os.path.join(*parts) if parts and ".." not in parts else None
