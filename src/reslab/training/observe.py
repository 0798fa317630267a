"""What the loop tells those who watch; watching never steers."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from reslab import log
from reslab.training.state import EpochRow


@dataclasses.dataclass(frozen=True)
class StepEvent:
    """One update.

    Args:
        step: updates done.
        total_steps: updates planned.
        epoch: passes over the training split done, with its fraction.
        loss: mean training loss since the last row.
        error_pct: training error since the last row.
        learning_rate: of this update.
        images_per_s: over the last seconds.
        remaining_s: predicted time to the end, evaluation included.
    """

    step: int
    total_steps: int
    epoch: float
    loss: float
    error_pct: float
    learning_rate: float
    images_per_s: float
    remaining_s: float


class Observer(Protocol):
    """Someone who watches a run."""

    def note(self, text: str) -> None:
        """Hear one line about what happens."""
        ...

    def decoding(self, done: int, total: int) -> None:
        """Hear how many images are decoded."""
        ...

    def step(self, event: StepEvent) -> None:
        """Hear of an update."""
        ...

    def epoch(self, row: EpochRow) -> None:
        """Hear of the end of an epoch."""
        ...

    def close(self) -> None:
        """Hear that the loop has ended."""
        ...


class Silent:
    """An observer that shows nothing; lines for people go to the log."""

    def note(self, text: str) -> None:
        """Log a line."""
        log.info(text)

    def decoding(self, done: int, total: int) -> None:
        """Ignore decoded images."""

    def step(self, event: StepEvent) -> None:
        """Ignore an update."""

    def epoch(self, row: EpochRow) -> None:
        """Ignore an epoch."""

    def close(self) -> None:
        """Ignore the end."""
