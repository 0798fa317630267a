"""What is wrong with a data set: one finding each, with the files it is about and the remedy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from reslab.data.names import shown
from reslab.display.short import short_repr
from reslab.errors import DataError

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault, or one thing that people should know before they train.

    Args:
        kind: a short fixed word for scripts ("unreadable", "duplicate-across", ...).
        severity: "error" stops training, "warning" does not; "note" says how the data are read.
        message: what is wrong, on one line, with the name of what it is about.
        paths: the images, folders or table lines concerned.
        remedy: what to do about it.
        classes: the classes concerned, where it is about classes.
    """

    kind: str
    severity: Severity
    message: str
    paths: tuple[str, ...] = ()
    remedy: str = ""
    classes: tuple[str, ...] = ()

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self)


def list_names(names: Sequence[str], most: int = 3) -> str:
    """Join the first few names, and say how many more there are."""
    listed = ", ".join(shown(name) for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 image``, ``3 images``, ``2,000 images``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def raise_first_error(findings: Sequence[Finding], *, where: str) -> None:
    """Raise the first error among findings as DataError, saying how many more there are."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    remedy = errors[0].remedy
    if len(errors) > 1:
        more = f"{len(errors) - 1} more fault{'s' if len(errors) > 2 else ''}"
        listed = f"`reslab check {where}` lists {more}"
        remedy = f"{remedy}; {listed}" if remedy else listed
    raise DataError(errors[0].message, remedy=remedy)
