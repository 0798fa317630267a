"""What is measured: a case, its arms, and the table of cases. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

OURS = "ours"
# What a case may take in all, seconds; --case-seconds says otherwise.
FULL_CASE_S, QUICK_CASE_S = 1200.0, 240.0


class Skipped(Exception):  # noqa: N818 - a case that cannot run here, with the reason
    """A case cannot be measured on this machine or without more flags."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What a measurement was asked to be.

    Args:
        data: folder with train/<class>/*.jpg, or an archive of one; None for drawn shapes.
        pairs: pairs of chunks a comparison.
        seconds: about how long a chunk takes; None for the case's own.
        quick: small images, few steps: whether everything works, not how fast it is.
        without: arms with this word in their name are left out; empty for none.
        threads: that every arm computes with; 0 for one a core.
        scratch: folder for what workers write; nothing of it is kept.
        out: folder for results.
        case_s: seconds that a case may take in all; what has not ended by then is ended.
        bf16: whether the processor multiplies bf16, so that peers may be fastest in it.
    """

    data: Path | None
    pairs: int
    seconds: float | None
    quick: bool
    without: str
    threads: int
    scratch: Path
    out: Path
    case_s: float = FULL_CASE_S
    bf16: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One of the programs that are compared, run in a process of its own.

    Args:
        name: what it is, for people.
        group: "ours", "as found" or "tuned"; of several candidates of one group the fastest is
            compared, the others are listed.
        module: has `measure(session, settings)`, and `check(settings)` where answers are compared.
        settings: what tells it from the other arms of the module.
        needs: packages that must be there.
        environment: variables that its process is started with.
    """

    name: str
    group: str
    module: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def missing(self) -> list[str]:
        """Return the packages that are not installed here."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison: the same work, done by our arm and by each group of peers.

    Args:
        name: on the command line and in results.
        title: for people.
        unit: what is counted, by the second.
        ours: our arm.
        peers: the others.
        targets: group -> the least ratio of our rate to theirs.
        limit_s: the most seconds our arm may take for one, where that is a target.
        setup: settings that all arms share, made once; raises `Skipped`.
        agree: key of what `check` returns -> greatest relative difference to ours.
        seconds: about how long a chunk takes.
        most_units: the most units of work a chunk; 0 for any number.
        by_name_only: long; measured only when it is named.
    """

    name: str
    title: str
    unit: str
    ours: Arm
    peers: tuple[Arm, ...] = ()
    targets: Mapping[str, float] = dataclasses.field(default_factory=dict)
    limit_s: float | None = None
    setup: Callable[[Options], dict[str, Any]] = lambda options: {}
    agree: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seconds: float = 8.0
    most_units: int = 0
    by_name_only: bool = False

    def arms(self) -> tuple[Arm, ...]:
        """Return all arms, ours first."""
        return (self.ours, *self.peers)

    def groups(self) -> dict[str, list[Arm]]:
        """Return the peers by group, in their order."""
        groups: dict[str, list[Arm]] = {}
        for arm in self.peers:
            groups.setdefault(arm.group, []).append(arm)
        return groups
