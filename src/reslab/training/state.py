"""Where a training run stands: everything besides tensors, as plain values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from reslab import dataclass_json
from reslab.display.short import short_repr
from reslab.training.schedule import Adaptation, Plan

RECENT_STEPS = 100

EpochRow = dict[str, float | int | None]


@dataclasses.dataclass
class TrainState:
    """The position of a run. Together with the tensors it determines all that follows.

    The data's position is the step alone: order and augmentation are pure functions of it.

    Args:
        plan: the length of the run and the progress at each step.
        step: updates done.
        rows: a row an epoch, as in results.csv.
        loss_sum: training loss summed over the images since the last row.
        wrong: training errors since the last row.
        images: training images since the last row.
        recent: (errors, images) of the last 100 steps, for the warm-up that waits for them.
        adaptation: what the learning rate remembers.
        best_value: best monitored value so far, None before the first.
        best_step: the step it was reached at.
        bad_epochs: rows since then.
        elapsed_s: time spent training in all processes that ran so far.
    """

    plan: Plan
    step: int = 0
    rows: list[EpochRow] = dataclasses.field(default_factory=list)
    loss_sum: float = 0.0
    wrong: float = 0.0
    images: float = 0.0
    recent: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    adaptation: Adaptation = dataclasses.field(default_factory=Adaptation)
    best_value: float | None = None
    best_step: int = 0
    bad_epochs: int = 0
    elapsed_s: float = 0.0

    __repr__ = short_repr

    def account(self, loss_sum: float, wrong: float, images: float) -> None:
        """Add the sums of a step taken, over its global batch."""
        self.loss_sum += loss_sum
        self.wrong += wrong
        self.images += images
        self.recent = [*self.recent[-(RECENT_STEPS - 1) :], (wrong, images)]

    def recent_error_pct(self) -> float:
        """Return the training error over the last 100 steps, in percent."""
        images = sum(n for _, n in self.recent)
        return 100.0 * sum(w for w, _ in self.recent) / images if images else 100.0

    def reset_sums(self) -> None:
        """Begin the next row."""
        self.loss_sum = self.wrong = self.images = 0.0

    @property
    def last_row_step(self) -> int:
        """Return the step of the last row, 0 before the first."""
        return int(self.rows[-1]["step"] or 0) if self.rows else 0

    def next_row_step(self, num_train: int, batch_size: int, rows_per_epoch: int = 1) -> int:
        """Return the step at which the epoch in progress, or its part, ends (or the run)."""
        # A run's last row may stand up to half a step before the end of its epoch, because the
        # number of steps is rounded; a longer run must not make a row of that half step.
        slack = batch_size // 2 if 2 * batch_size * rows_per_epoch <= num_train else 0
        rows_done = (self.last_row_step * batch_size + slack) * rows_per_epoch // num_train
        end = math.ceil((rows_done + 1) * num_train / (rows_per_epoch * batch_size))
        return min(max(end, self.last_row_step + 1), self.plan.total_steps)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; floats survive the round trip bit for bit."""
        return dataclass_json.to_json(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainState:
        """Rebuild what `to_json` returned.

        Raises:
            UsageError: a field is missing, unknown or of another type.
        """
        return dataclass_json.from_json(cls, value, "state")
