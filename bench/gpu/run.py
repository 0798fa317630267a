"""One case after the other: the same answers first, then ours and theirs in turn."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.case import OURS, Arm, Case, Options
from bench.harness import (
    TRIAL_CHUNKS,
    Say,
    Turn,
    Worker,
    WorkerError,
    relative_difference,
    threads,
)
from bench.session import CHECKED
from bench.spread import spread


@dataclasses.dataclass
class Candidate:
    """An arm that is warm: its process, what it said of itself, its rate in a trial."""

    arm: Arm
    worker: Worker
    facts: dict[str, Any]
    units: int = 1
    rate: float = 0.0


def measure(
    case: Case, options: Options, settings: Mapping[str, Any], deadline: float, say: Say
) -> dict[str, Any]:
    """Measure a case.

    Args:
        case: what is compared; ours is the faster of the arms of group "ours".
        options: how often and how long.
        settings: that all cases share.
        deadline: `time.monotonic()` after which no further comparison is begun.
        say: told what happens.

    Raises:
        WorkerError: our arm failed.
    """
    scratch = options.scratch / case.name
    scratch.mkdir(parents=True, exist_ok=True)
    shared = {
        **case.setup(options),
        **settings,
        "quick": options.quick,
        "threads": threads(options),
        "scratch": str(scratch),
    }
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Worker(case, 0, shared, scratch, "measure"))
        warm = [Candidate(case.ours, ours, ours.start())]
        say(f"  {case.ours.name}: ready after {warm[0].facts['cold']['ready_s']:.1f} s")
        others, failed = _others(case, shared, scratch, stack, ours, say)
        warm += others
        turn = Turn(case, options, ours, say)
        for candidate in warm:
            candidate.units = turn.fitting_units(candidate.worker)
            chunks = (candidate.worker.chunk(candidate.units) for _ in range(TRIAL_CHUNKS))
            candidate.rate = max(chunk.rate for chunk in chunks)
            say(f"  {candidate.arm.name}: {candidate.rate:,.6g} {case.unit}")
        best = max((c for c in warm if c.arm.group == OURS), key=lambda c: c.rate)
        turn = Turn(case, options, best.worker, say)
        groups: dict[str, Any] = {}
        for candidate in warm:
            group = candidate.arm.group
            if group == OURS:
                continue
            if time.monotonic() > deadline:
                groups[group] = {"skipped": "the time was up"}
                continue
            groups[group] = {
                "name": candidate.arm.name,
                "target": case.targets.get(group),
                **candidate.facts,
                **turn.pairs(candidate.worker, candidate.units),
                **_memory(candidate.worker),
            }
        if not turn.rates:
            turn.alone()
        return {
            "title": case.title,
            "unit": case.unit,
            "settings": {k: v for k, v in shared.items() if not str(v).startswith("/")},
            "same": dict(case.agree),
            "groups": groups,
            "ours": {
                "name": best.arm.name,
                **best.facts,
                "rate": spread(turn.rates),
                **_memory(best.worker),
            },
            "trials": {c.arm.name: c.rate for c in warm},
            "failed": failed,
        }


def _others(
    case: Case,
    settings: Mapping[str, Any],
    scratch: Path,
    stack: contextlib.ExitStack,
    ours: Worker,
    say: Say,
) -> tuple[list[Candidate], dict[str, str]]:
    """Start all other arms at once, for they compile; keep those with the same answers as ours."""
    numbers = range(1, len(case.arms()))
    workers = [stack.enter_context(Worker(case, n, settings, scratch, "measure")) for n in numbers]
    warm: list[Candidate] = []
    failed: dict[str, str] = {}
    for worker in workers:
        name = worker.arm.name
        try:
            facts = worker.start()
        except WorkerError as error:
            failed[name] = str(error).splitlines()[-1]
        else:
            wrong = _difference(case, ours, worker)
            if wrong:
                failed[name] = wrong
            else:
                warm.append(Candidate(worker.arm, worker, facts))
        if name in failed:
            say(f"  {name}: left out: {failed[name]}")
        else:
            say(f"  {name}: ready after {facts['cold']['ready_s']:.1f} s")
    return warm, failed


def _difference(case: Case, ours: Worker, other: Worker) -> str:
    """Say in what another arm's answers differ too much from ours; nothing where they agree."""
    with np.load(ours.own / CHECKED) as expected, np.load(other.own / CHECKED) as found:
        for key, tolerance in case.agree.items():
            apart = relative_difference(expected[key], found[key])
            if not apart <= tolerance:
                return f"{key} differs by {apart:.3g} of ours (at most {tolerance:g})"
    return ""


def _memory(worker: Worker) -> dict[str, Any]:
    return {"gpu_peak_mib": worker.chunk(1).figures["gpu_peak_mib"], **worker.peak_mib()}
