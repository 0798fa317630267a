"""What is said while the layout of a folder is read: findings, and the flag that says otherwise."""

from __future__ import annotations

import os
from collections.abc import Sequence

from reslab.data.findings import Finding, Severity
from reslab.data.names import shown
from reslab.data.sources import vocabulary as words
from reslab.data.sources.scan import Scan


class Report:
    """What is said about a layout, and the folders that are left out of it."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.left_out: list[str] = []

    def add(
        self,
        kind: str,
        message: str,
        paths: Sequence[str] = (),
        remedy: str = "",
        *,
        severity: Severity = "error",
    ) -> None:
        """Add a finding; an error unless said otherwise."""
        self.found.append(Finding(kind, severity, message, tuple(paths), remedy))

    def leave_out(self, folder: str, why: str, remedy: str = "") -> None:
        """Say that a folder is not used."""
        self.left_out.append(folder)
        self.add(
            "ignored",
            f"folder {shown(folder)} {why}",
            [folder],
            remedy or "it is not used; move it away if it should not be there",
            severity="warning",
        )

    @property
    def num_errors(self) -> int:
        """Return how many errors there are so far."""
        return sum(finding.severity == "error" for finding in self.found)


def base(path: str) -> str:
    """Return the name of a folder or file."""
    return os.path.basename(path)


def bases(paths: Sequence[str]) -> list[str]:
    """Return the names of folders or files."""
    return [base(path) for path in paths]


def expression(scan: Scan, above: str, *, skip: int, split: bool = False) -> str:
    """Return the flag that takes a folder's name for the label.

    Args:
        scan: where.
        above: the folder in which the split or class folders lie.
        skip: how many levels are passed over before the label.
        split: there are splits, which `above` lies in or else holds.
    """
    inside = scan.relative(above).split("/") if above != scan.root else []
    levels = ["[^/]+/"] * len(inside)
    if split:
        at = next((i for i, name in enumerate(inside) if words.split_and_rest(name)), None)
        if at is None:
            levels.append("(?P<split>[^/]+)/")
        else:
            levels[at] = "(?P<split>[^/]+)/"
    text = "^" + "".join(levels) + "[^/]+/" * skip
    return f"--label-from-name '{text}{'(?P<label>[^/]+)' if split else '([^/]+)'}/'"
