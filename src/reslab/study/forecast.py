"""What a study will take on this machine: a few steps of each distinct run, measured."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence

from reslab.display.short import short_repr
from reslab.errors import ReslabError
from reslab.machine import available_cores
from reslab.plan.forecast import forecast
from reslab.plan.measure import measure
from reslab.plan.subject import cost_of_images, resolve
from reslab.study.expansion import PlannedRun, asked
from reslab.study.runner import choose_jobs


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunForecast:
    """What one run will take.

    Args:
        run: the run.
        total_s: from its start to its report, seconds; None where that cannot be told.
        peak_mib: peak memory of its process, MiB; None where that cannot be told.
        why: why it cannot be told.
    """

    run: PlannedRun
    total_s: float | None
    peak_mib: float | None
    why: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyForecast:
    """What a study will take.

    Args:
        runs: one for each run.
        jobs: runs at once.
        total_s: of all runs that can be told, seconds.
        peak_mib: the largest memory of so many runs at once, MiB.
    """

    runs: tuple[RunForecast, ...]
    jobs: int
    total_s: float
    peak_mib: float

    __repr__ = short_repr


def forecast_study(
    plan: Sequence[PlannedRun],
    *,
    jobs: int = 0,
    note: Callable[[str], None] | None = None,
) -> StudyForecast:
    """Measure a few steps of each distinct run, and add up.

    Runs at once share the cores; what slows them down beyond that (memory, caches) is not in
    the prediction.

    Args:
        plan: the runs.
        jobs: runs at once; 0 to choose, as for `run_study`.
        note: called with a line before anything takes time.
    """
    jobs = choose_jobs(jobs, len(plan))
    threads = max(1, available_cores() // jobs) if jobs > 1 else 0
    known: dict[str, RunForecast] = {}
    found = []
    for run in plan:
        key = _kind(run)
        if key not in known:
            known[key] = _forecast(run, threads, note)
        found.append(dataclasses.replace(known[key], run=run))
    peaks = sorted((f.peak_mib for f in found if f.peak_mib is not None), reverse=True)
    return StudyForecast(
        runs=tuple(found),
        jobs=jobs,
        total_s=_makespan([f.total_s for f in found if f.total_s is not None], jobs),
        peak_mib=sum(peaks[:jobs]),
    )


def _makespan(times_s: Sequence[float], jobs: int) -> float:
    """Return when the last of some runs ends, each begun as soon as there is a place."""
    ends = [0.0] * jobs
    for time_s in times_s:
        ends[ends.index(min(ends))] += time_s
    return max(ends)


def _kind(run: PlannedRun) -> str:
    """Return what decides how long a run takes: all but its seed."""
    if run.request is None:
        return "combined"
    value = {k: v for k, v in asked(run.request).items() if k != "seed"}
    return json.dumps([value, run.arm.after is not None], sort_keys=True)


def _forecast(run: PlannedRun, threads: int, note: Callable[[str], None] | None) -> RunForecast:
    if run.request is None:
        return RunForecast(run=run, total_s=None, peak_mib=None, why="trains nothing")
    try:
        subject = resolve(run.request)
        cost = measure(dataclasses.replace(subject.task(), threads=threads), note=note)
        predicted = forecast(subject, cost, cost_of_images(subject))
    except ReslabError as error:
        return RunForecast(run=run, total_s=None, peak_mib=None, why=str(error))
    return RunForecast(run=run, total_s=predicted.total_s, peak_mib=predicted.peak_mib)
