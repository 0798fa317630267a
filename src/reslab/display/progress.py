"""A run's progress: a live bar on a terminal, a bar in a notebook, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from reslab.display.wording import clock

if TYPE_CHECKING:
    from reslab.training.observe import StepEvent
    from reslab.training.state import EpochRow

PLAIN_EVERY_S = 30.0
BAR_EVERY_S = 0.1


def on_terminal() -> bool:
    """Tell whether stderr is a terminal that a bar can move on."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def epoch_line(row: EpochRow) -> str:
    """Write the row of an epoch on a line."""
    parts = [f"epoch {row['epoch']:g}", f"lr {row['lr']:.4g}"]
    for column, label in (
        ("train_loss", "train loss"),
        ("train_error_pct", "error"),
        ("val_loss", "val loss"),
        ("val_error_pct", "error"),
        ("ema_val_error_pct", "averaged"),
        ("test_error_pct", "test error"),
    ):
        value = row.get(column)
        if value is not None:
            unit = "%" if column.endswith("pct") else ""
            parts.append(f"{label} {value:.{2 if unit else 4}f}{unit}")
    return "  ".join(parts)


class Lines:
    """Plain lines: one an epoch, or one in thirty seconds where epochs are long or very short.

    Args:
        write: called with each line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._last = time.monotonic()
        self._row: EpochRow | None = None
        self._ahead = ""

    def note(self, text: str) -> None:
        """Print a line."""
        self._write(text)

    def decoding(self, done: int, total: int) -> None:
        """Print a line now and then."""
        if time.monotonic() - self._last > PLAIN_EVERY_S:
            self._last = time.monotonic()
            self._write(f"decoded {done:,} of {total:,} images")

    def hear(self, event: StepEvent) -> None:
        """Remember speed and time left, for the line of the epoch."""
        self._ahead = f"{event.images_per_s:.0f} images/s  {clock(event.remaining_s)} left"

    def step(self, event: StepEvent) -> None:
        """Print a line now and then."""
        self.hear(event)
        if time.monotonic() - self._last > PLAIN_EVERY_S:
            self._last = time.monotonic()
            self._write(
                f"step {event.step}/{event.total_steps}  epoch {event.epoch:.2f}  "
                f"loss {event.loss:.4f}  error {event.error_pct:.2f}%  {self._ahead}"
            )

    def epoch(self, row: EpochRow) -> None:
        """Print the row, unless one was printed within the last second."""
        self._row = row
        if time.monotonic() - self._last >= 1.0 or row["epoch"] == 1:
            self._print_row()

    def close(self) -> None:
        """Print the last row where it is still owed."""
        if self._row is not None:
            self._print_row()

    def _print_row(self) -> None:
        assert self._row is not None
        self._write(f"{epoch_line(self._row)}  {self._ahead}")
        self._last, self._row = time.monotonic(), None


class Bar:
    """A live bar with what matters, and a line above it for each epoch."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(
            stderr=True, highlight=False, no_color="NO_COLOR" in os.environ or None
        )
        self._progress = Progress(
            TextColumn("[bold]epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("[dim]loss[/] {task.fields[loss]}"),
            TextColumn("[dim]error[/] {task.fields[error]}"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("[dim]left[/] {task.fields[left]}"),
            console=self._console,
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._task = self._progress.add_task(
            "train", total=None, epoch="0", loss="-", error="-", speed="", left="?"
        )
        self._shown = 0.0
        self._started = False

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False)

    def decoding(self, done: int, total: int) -> None:
        """Move a bar of decoded images."""
        if self._due(last=done == total):
            self._progress.update(
                self._task, completed=done, total=total, epoch="0", speed=f"decoding {total:,}"
            )
            self._progress.refresh()

    def step(self, event: StepEvent) -> None:
        """Move the bar, ten times a second at most."""
        if not self._due(last=event.step == event.total_steps):
            return
        self._progress.update(
            self._task,
            completed=event.step,
            total=event.total_steps,
            epoch=f"{event.epoch:.1f}",
            loss=f"{event.loss:.3f}",
            error=f"{event.error_pct:.1f}%",
            speed=f"{event.images_per_s:,.0f}/s",
            left=clock(event.remaining_s),
        )
        self._progress.refresh()

    def _due(self, last: bool) -> bool:
        if not self._started:
            self._progress.start()
            self._started = True
        now = time.monotonic()
        if now - self._shown < BAR_EVERY_S and not last:
            return False
        self._shown = now
        return True

    def epoch(self, row: EpochRow) -> None:
        """Print the row above the bar."""
        self._console.print(epoch_line(row), markup=False)

    def close(self) -> None:
        """Take the bar away."""
        if self._started:
            self._progress.stop()
            self._started = False
