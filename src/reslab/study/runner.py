"""All runs of a study: finished ones skipped, interrupted ones resumed, failed ones kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from reslab import log, machine
from reslab.durable import Lock
from reslab.errors import StoppedError
from reslab.machine import available_cores
from reslab.study.expansion import PlannedRun, Setting, expand
from reslab.study.folder import StudyFolder
from reslab.study.load import load_study
from reslab.study.results import RunOutcome, StudyResults
from reslab.study.worker_pool import WorkerPool, processes
from reslab.training.stop import StopRequest, listening

MOST_JOBS = 8


class StudyObserver(Protocol):
    """Someone who watches a study."""

    def note(self, text: str) -> None:
        """Hear one line about what happens."""
        ...

    def planned(self, runs: Sequence[PlannedRun], done: int) -> None:
        """Hear of all runs, and how many of them are done already."""
        ...

    def started(self, run: PlannedRun) -> None:
        """Hear that a run starts or resumes."""
        ...

    def progress(self, run: PlannedRun, event: Mapping[str, Any]) -> None:
        """Hear what happens in a run: "step", "decoding" or "measuring" and its numbers."""
        ...

    def finished(self, run: PlannedRun, outcome: RunOutcome) -> None:
        """Hear the outcome of a run."""
        ...

    def close(self) -> None:
        """Hear that nothing more follows."""
        ...


class SilentStudy:
    """An observer that shows nothing; lines for people go to the log."""

    def note(self, text: str) -> None:
        """Log a line."""
        log.info(text)

    def planned(self, runs: Sequence[PlannedRun], done: int) -> None:
        """Ignore the plan."""

    def started(self, run: PlannedRun) -> None:
        """Ignore a beginning."""

    def progress(self, run: PlannedRun, event: Mapping[str, Any]) -> None:
        """Ignore an event."""

    def finished(self, run: PlannedRun, outcome: RunOutcome) -> None:
        """Ignore an end."""

    def close(self) -> None:
        """Ignore the end of all."""


def choose_jobs(jobs: int, runs: int) -> int:
    """Return how many runs are done at once: as asked, else one a core, or one with a GPU.

    The networks of small images keep one core busy and hardly more.
    """
    if jobs > 0:
        return max(1, min(jobs, runs))
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return 1
    return max(1, min(available_cores(), runs, MOST_JOBS))


def run_study(
    reference: str,
    setting: Setting,
    folder: Path,
    *,
    jobs: int = 0,
    retry: bool = False,
    observer: StudyObserver | None = None,
) -> StudyResults:
    """Do what is left of a study's runs, and write results.json after each.

    Args:
        reference: the study, as for `load_study`.
        setting: scale, data, seeds, device.
        folder: the study's folder; what is in it already is not done again.
        jobs: runs at once; 0 to choose. Each gets its share of the cores.
        retry: try failed runs again.
        observer: who watches.

    Returns:
        The results, with the runs that failed or diverged.

    Raises:
        UsageError: no such study or scale, or the folder holds another one.
        MachineError: another process runs this study in this folder.
        StoppedError: a signal arrived; everything is saved.
    """
    study = load_study(reference)
    plan = expand(study, setting)
    place, watcher = StudyFolder(folder.absolute()), observer or SilentStudy()
    place.claim(study, setting)
    with listening() as stop, Lock(place.lock_file):
        place.recover(plan)
        board = Board(plan, place, retry)
        watcher.planned(plan, len(plan) - len(board.waiting))
        if any(_asks_for_bf16(run) for run in board.waiting) and (
            slow := machine.slow_precision("bf16", machine.choose_device(setting.device))
        ):
            watcher.note(slow)
        setup = {
            "study": reference,
            "setting": dataclasses.asdict(setting),
            "folder": str(place.path),
            "retry": retry,
        }
        size = choose_jobs(jobs, len(board.waiting))
        try:
            with WorkerPool(setup, size, processes(place.path, size)) as pool:
                for run, outcome in _work(board, pool, watcher, stop):
                    watcher.finished(run, outcome)
                    place.results(study, setting, plan).save(place.path)
        finally:
            watcher.close()
        if stop:
            left = len(board.waiting)
            raise StoppedError(
                f"stopped by signal {stop.signal_number} with {left} of {len(plan)} runs to do, "
                "everything is saved",
                signal_number=stop.signal_number,
                remedy="the same command continues from here",
            )
        results = place.results(study, setting, plan)
        results.save(place.path)
        return results


def _asks_for_bf16(run: PlannedRun) -> bool:
    return run.request is not None and run.request.overrides.get("precision") == "bf16"


class Board:
    """Which runs are left, and which of them can begin.

    Args:
        plan: all runs.
        place: the study's folder, where the outcomes are.
        retry: failed runs are left too.
    """

    def __init__(self, plan: tuple[PlannedRun, ...], place: StudyFolder, retry: bool) -> None:
        self.place = place
        stages = {run.id: place.stage(run, retry=retry) for run in plan}
        self.waiting = [run for run in plan if stages[run.id] not in ("done", "failed")]
        self._ended = {
            run.id: place.outcome(run) for run in plan if stages[run.id] in ("done", "failed")
        }

    def next(self, busy: Sequence[PlannedRun]) -> PlannedRun | None:
        """Return the first run that nobody does and that needs no run still to be done."""
        taken = {run.id for run in busy}
        for run in self.waiting:
            if run.id not in taken and all(need in self._ended for need in run.needs):
                return run
        return None

    def blocked_by(self, run: PlannedRun) -> str:
        """Say why a run cannot be done: one that it needs did not finish."""
        for need in run.needs:
            outcome = self._ended[need]
            if outcome is not None and outcome.status != "finished":
                return f"it needs {need}, which {outcome.status}"
        return ""

    def end(self, run: PlannedRun, outcome: RunOutcome) -> None:
        """Take a run off the list."""
        self.waiting = [other for other in self.waiting if other.id != run.id]
        self._ended[run.id] = outcome


def _work(
    board: Board, pool: WorkerPool, watcher: StudyObserver, stop: StopRequest
) -> Iterator[tuple[PlannedRun, RunOutcome]]:
    """Keep the workers busy until nothing is left; yields each run with its outcome."""
    while board.waiting:
        if stop:
            pool.stop()
            return
        while pool.has_room and (run := board.next(pool.running)) is not None:
            if why := board.blocked_by(run):
                yield run, _give_up(board, run, why)
                continue
            pool.submit(run)
            watcher.started(run)
        if not pool.running:
            continue
        received = pool.recv()
        if received is None:
            continue
        run, event = received
        if event["event"] == "done":
            outcome = board.place.outcome(run)
            assert outcome is not None, run.id
            board.end(run, outcome)
            yield run, outcome
        elif event["event"] == "gone":
            yield run, _give_up(board, run, event["why"])
        else:
            watcher.progress(run, event)


def _give_up(board: Board, run: PlannedRun, why: str) -> RunOutcome:
    failed = RunOutcome(arm=run.arm.name, seed=run.seed, status="failed", error=why)
    outcome = board.place.write_outcome(run, failed)
    board.end(run, outcome)
    return outcome
