"""A study's progress on stderr: a bar for all and one for each run on a terminal, else lines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reslab.display.stderr import note
from reslab.display.wording import clock

if TYPE_CHECKING:
    from rich.progress import TaskID

    from reslab.study.expansion import PlannedRun
    from reslab.study.results import RunOutcome
    from reslab.study.runner import StudyObserver

LINE_EVERY_S = 30.0


def make_study_observer(quiet: bool) -> StudyObserver:
    """Return what shows the user the progress of a study."""
    from reslab.study.runner import SilentStudy

    if quiet:
        return SilentStudy()
    return Bars() if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else Lines()


def share_of(event: Mapping[str, Any]) -> float:
    """Return which part of its run an event stands at, 0 to 1."""
    if event["event"] == "step":
        return float(event["step"]) / float(event["total_steps"])
    return 1.0 if event["event"] == "measuring" else 0.0


def describe_event(event: Mapping[str, Any]) -> str:
    """Say in a few words where a run stands."""
    if event["event"] == "step":
        return (
            f"step {event['step']}/{event['total_steps']}  loss {event['loss']:.3f}  "
            f"error {event['error_pct']:.1f}%"
        )
    if event["event"] == "decoding":
        return f"decoding {event['done']:,} of {event['total']:,} images"
    return "measuring"


def describe_outcome(outcome: RunOutcome) -> str:
    """Say what became of a run."""
    if outcome.status != "finished":
        return f"{outcome.status}: {outcome.error}"
    parts = [
        f"{label} {outcome.metrics[name]:.2f}%"
        for name, label in (("train_error_pct", "training error"), ("test_error_pct", "test error"))
        if name in outcome.metrics
    ]
    if "wall_s" in outcome.metrics:
        parts.append(f"in {clock(outcome.metrics['wall_s'])}")
    return "  ".join(parts) or "done"


class Pace:
    """Predicts when a study ends: from the share of its runs that is done and the time so far.

    All runs count the same, though they differ in cost: so it is "about".
    """

    def __init__(self) -> None:
        self.total = self.before = self.ended = 0
        self.shares: dict[str, float] = {}
        self.began = time.monotonic()

    def planned(self, total: int, done: int) -> None:
        """Begin to count."""
        self.total, self.before, self.began = total, done, time.monotonic()

    def done(self) -> float:
        """Return how many runs are done, parts of runs included."""
        return self.before + self.ended + sum(self.shares.values())

    def left(self) -> str:
        """Return the time that is left, for people."""
        here = self.done() - self.before
        if here < 0.05:
            return "?"
        spent = time.monotonic() - self.began
        return f"about {clock(spent * (self.total - self.done()) / here)}"


class Lines:
    """A line when a run ends, and one in thirty seconds meanwhile."""

    def __init__(self) -> None:
        self._pace, self._told = Pace(), time.monotonic()

    def note(self, text: str) -> None:
        """Print a line."""
        note(text)

    def planned(self, runs: Sequence[PlannedRun], done: int) -> None:
        """Say how much there is to do."""
        self._pace.planned(len(runs), done)
        note(f"{len(runs)} runs, {done} of them done already")

    def started(self, run: PlannedRun) -> None:
        """Remember that it has begun."""
        self._pace.shares[run.id] = 0.0

    def progress(self, run: PlannedRun, event: Mapping[str, Any]) -> None:
        """Print a line now and then."""
        self._pace.shares[run.id] = share_of(event)
        if time.monotonic() - self._told > LINE_EVERY_S:
            self._told = time.monotonic()
            note(f"{run.id}  {describe_event(event)}  {self._pace.left()} left")

    def finished(self, run: PlannedRun, outcome: RunOutcome) -> None:
        """Print what became of it."""
        self._pace.shares.pop(run.id, None)
        self._pace.ended += 1
        self._told = time.monotonic()
        count = f"[{self._pace.before + self._pace.ended}/{self._pace.total}]"
        note(f"{count} {run.id}  {describe_outcome(outcome)}")

    def close(self) -> None:
        """Owe nothing."""


class Bars:
    """A bar for the study, and under it one for each run that is being done."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(
            stderr=True, highlight=False, no_color="NO_COLOR" in os.environ or None
        )
        self._progress = Progress(
            TextColumn("{task.fields[style]}{task.description}"),
            BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("[dim]{task.fields[text]}[/]"),
            console=self._console,
            refresh_per_second=4,
            transient=True,
            expand=True,
        )
        self._pace = Pace()
        self._tasks: dict[str, TaskID] = {}
        self._all: TaskID | None = None

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text, markup=False)

    def planned(self, runs: Sequence[PlannedRun], done: int) -> None:
        """Show the bar of the study."""
        self._pace.planned(len(runs), done)
        self._all = self._progress.add_task("study", total=len(runs), text="", style="[bold]")
        self._progress.start()
        self._move()

    def started(self, run: PlannedRun) -> None:
        """Show a bar for the run."""
        self._pace.shares[run.id] = 0.0
        self._tasks[run.id] = self._progress.add_task(run.id, total=1.0, text="", style="")

    def progress(self, run: PlannedRun, event: Mapping[str, Any]) -> None:
        """Move the bars."""
        self._pace.shares[run.id] = share_of(event)
        self._progress.update(
            self._tasks[run.id], completed=share_of(event), text=describe_event(event)
        )
        self._move()

    def finished(self, run: PlannedRun, outcome: RunOutcome) -> None:
        """Print what became of the run in place of its bar."""
        self._pace.shares.pop(run.id, None)
        self._pace.ended += 1
        if run.id in self._tasks:
            self._progress.remove_task(self._tasks.pop(run.id))
        self._console.print(f"{run.id}  {describe_outcome(outcome)}", markup=False)
        self._move()

    def close(self) -> None:
        """Take the bars away."""
        self._progress.stop()

    def _move(self) -> None:
        assert self._all is not None
        text = f"{self._pace.before + self._pace.ended} of {self._pace.total} runs"
        self._progress.update(
            self._all, completed=self._pace.done(), text=f"{text}  {self._pace.left()} left"
        )
