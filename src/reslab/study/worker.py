"""A process that does a study's runs, one after the other, as its parent names them.

A process of its own, so that a run that is killed takes no other with it; one for many runs, so
that torch is started once. Its `main` is what a `reslab.child.Child` runs: it reads the study,
then the name of each run, and answers what happens during a run, and ``{"event": "done"}`` once
its outcome is in the study's folder.

When its parent is gone it ends at once: what was saved is continued by the next start.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, Protocol

from reslab.child import Parent
from reslab.durable import Lock
from reslab.errors import DivergedError, MachineError, ReslabError, StoppedError
from reslab.runs.directory import RunDirectory
from reslab.study.expansion import PlannedRun, Setting, expand
from reslab.study.folder import StudyFolder
from reslab.study.load import load_study
from reslab.study.measuring import measure_run, sorted_out
from reslab.study.results import RunOutcome
from reslab.study.study import FinishedRun
from reslab.training import job
from reslab.training.observe import StepEvent
from reslab.training.state import EpochRow

STEP_EVERY_S = 0.5
WAIT_S = 10.0


class Receiver(Protocol):
    """Where events go: the parent."""

    def send(self, value: Any) -> None:
        """Take a JSON value."""
        ...


class RunEvents:
    """Sends the parent what happens in one run; an observer of its training.

    Args:
        parent: where the events go.
        run_id: the run.
    """

    def __init__(self, parent: Receiver, run_id: str) -> None:
        self._parent, self._run_id, self._sent_s = parent, run_id, 0.0

    def send(self, event: str, **values: Any) -> None:
        """Send an event."""
        self._parent.send({"event": event, "run": self._run_id, **values})

    def note(self, text: str) -> None:
        """Leave the notes of a run to its own files."""

    def decoding(self, done: int, total: int) -> None:
        """Send how far decoding is, now and then."""
        if self._due():
            self.send("decoding", done=done, total=total)

    def step(self, event: StepEvent) -> None:
        """Send how far training is, now and then."""
        if self._due():
            self.send("step", **dataclasses.asdict(event))

    def epoch(self, row: EpochRow) -> None:
        """Leave rows to the run's results."""

    def close(self) -> None:
        """Do nothing: more may follow."""

    def _due(self) -> bool:
        due = time.monotonic() - self._sent_s > STEP_EVERY_S
        if due:
            self._sent_s = time.monotonic()
        return due


def execute(run: PlannedRun, folder: StudyFolder, events: RunEvents, *, retry: bool) -> RunOutcome:
    """Bring one run to its end, wherever it stands, and keep its outcome.

    Raises:
        StoppedError: a signal arrived; the next start continues the run.
    """
    stage = folder.stage(run, retry=retry)
    outcome = folder.outcome(run)
    if stage in ("done", "failed"):
        assert outcome is not None
        return outcome
    plain = RunOutcome(arm=run.arm.name, seed=run.seed, status="finished")
    try:
        if stage == "new":
            folder.clear(run)
            job.start(run.located(folder.path), events)
        elif stage == "resume":
            _wait_for_lock(folder.path / run.id)
            job.resume(folder.path / run.id, observer=events)
        events.send("measuring")
        metrics, series = _measured(run, folder)
        outcome = dataclasses.replace(plain, metrics=metrics, series=series)
    except StoppedError:
        raise
    except DivergedError as error:
        outcome = dataclasses.replace(plain, status="diverged", error=str(error))
    except ReslabError as error:
        outcome = dataclasses.replace(plain, status="failed", error=str(error))
    except Exception as error:  # one run's fault must not take the others along
        text = f"{type(error).__name__}: {error}"
        outcome = dataclasses.replace(plain, status="failed", error=" ".join(text.split()))
    return folder.write_outcome(run, outcome)


def _wait_for_lock(run_dir: Path) -> None:
    """Wait for a worker of an earlier start, which ends as soon as it notices that it is alone."""
    for _ in range(round(WAIT_S / 0.1)):
        try:
            with Lock(RunDirectory(run_dir).lock_file):
                return
        except MachineError:
            time.sleep(0.1)


def _measured(
    run: PlannedRun, folder: StudyFolder
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Measure a finished run, or several together, and write the page of a run."""
    metrics: dict[str, float] = {}
    series: dict[str, list[float]] = {}
    finished = [FinishedRun(run.arm.name, run.seed, folder.path / run.id)]
    if run.request is not None:
        from reslab.report import write_report

        metrics = measure_run(folder.path / run.id)
        write_report(folder.path / run.id)
    else:
        finished = [_finished(need, folder) for need in run.needs]
    if run.arm.measure is not None:
        more, series = sorted_out(run.arm.measure(finished))
        metrics |= more
    return metrics, series


def _finished(run_id: str, folder: StudyFolder) -> FinishedRun:
    arm, _, seed = run_id.rpartition("/seed-")
    return FinishedRun(arm, int(seed), folder.path / run_id)


def main(parent: Parent) -> int:
    """Do runs until there are no more."""
    setup = parent.recv()
    study = load_study(setup["study"])
    plan = {run.id: run for run in expand(study, Setting(**setup["setting"]))}
    folder = StudyFolder(Path(setup["folder"]))
    for name in parent:
        if name is None:
            break
        events = RunEvents(parent, name)
        try:
            execute(plan[name], folder, events, retry=setup["retry"])
        except StoppedError as error:
            return error.exit_code
        except KeyboardInterrupt:
            return 130
        events.send("done")
    return 0
