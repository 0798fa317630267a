"""Findings -> a shell script that mends a folder: everything is moved aside, nothing deleted."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from reslab.data.findings import Finding
from reslab.data.names import shown

_ASIDE = {"unreadable", "class-empty", "class-extra", "link-loop", "link-broken", "link-outside"}


def mending_plan(findings: Sequence[Finding], root: Path) -> str:
    """Write the plan to mend a data set, to be read first and then run with ``sh``.

    Files that cannot stay are moved to a folder beside the data, of the same layout. Of equal
    images one stays: in test rather than val, in val rather than train. What takes a look (near
    duplicates, labels that contradict each other) is written as comments.

    Args:
        findings: of a check.
        root: the folder that was checked, or the CSV file; a CSV's images stay where they are,
            and the plan says which lines to take out.
    """
    root = root.absolute()
    if root.is_file():
        return _table_plan(findings, root)
    lines = [
        "#!/bin/sh",
        f"# Plan to mend {shown(root)}",
        "# Read it, take out what you do not want, then run it with sh.",
        "# Nothing is deleted: files move to the folder named here.",
        "set -eu",
        f"data={shlex.quote(str(root))}",
        f"aside={shlex.quote(str(root) + '.aside')}",
        'aside() { mkdir -p "$aside/$(dirname "$1")" && mv -- "$data/$1" "$aside/$1"; }',
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
    if finding.kind in _ASIDE:
        yield from _moves(inside, moved)
        if finding.kind == "class-extra":
            folders = sorted({os.path.dirname(path) for path in inside if path})
            yield from (f'rmdir -- "$data"/{shlex.quote(path)} || :' for path in folders)
    elif finding.kind in ("duplicate", "duplicate-across"):
        there = [path for path in inside if path is not None and path not in moved]
        yield from _moves(sorted(there, key=_keep_first)[1:], moved)
    elif finding.kind in ("label-conflict", "near-label-conflict"):
        yield from _comments(inside)
    elif finding.kind in ("near-duplicate", "near-duplicate-across"):
        there = [path for path in inside if path is not None]
        yield from _comments(sorted(there, key=_keep_first)[1:])


def _keep_first(path: str) -> tuple[int, str]:
    top = path.split("/", 1)[0].lower()
    ranks = {"test": 0, "testing": 0, "val": 1, "valid": 1, "validation": 1}
    return ranks.get(top, 2), path


def _moves(paths: Sequence[str | None], moved: set[str]) -> Iterator[str]:
    for path in paths:
        if path is not None and path not in moved:
            moved.add(path)
            yield f"aside {shlex.quote(path)}"


def _comments(paths: Sequence[str | None]) -> Iterator[str]:
    """Give moves that are commented out; a newline in a name must not end the comment."""
    for path in paths:
        if path is not None and "\n" not in path:
            yield f"# aside {shlex.quote(path)}"
        elif path is not None:
            yield f"# (by hand) {shown(path)}"


def _relative(path: str, root: Path) -> str | None:
    """Return a path relative to the root, or None for what lies elsewhere or is no path."""
    absolute = os.path.abspath(path)
    start = str(root).rstrip(os.sep) + os.sep
    return absolute[len(start) :] if absolute.startswith(start) else None
