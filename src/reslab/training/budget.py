"""A time budget: how many updates fit into the time that is left."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import deque

EARLY_STEPS = (8, 30, 100, 300)
EVALUATION_SHARE = 0.3  # of the time that an image takes in training: about its forward pass


@dataclasses.dataclass
class Clock:
    """Measures a run and predicts its end.

    Args:
        spent_s: time that the run used before this process.
        started: `time.perf_counter()` when this process began with the run.
    """

    spent_s: float
    started: float
    step_s: deque[float] = dataclasses.field(default_factory=lambda: deque(maxlen=200))
    row_s: float = 0.0
    _last: float | None = None

    def elapsed_s(self) -> float:
        """Return the time used by the run so far, earlier processes included."""
        return self.spent_s + time.perf_counter() - self.started

    def tick(self, updates: int = 1) -> None:
        """Note the end of an update, or of several that were waited for together."""
        now = time.perf_counter()
        if self._last is not None:
            self.step_s.extend([(now - self._last) / updates] * updates)
        self._last = now

    def pause(self) -> None:
        """Leave what follows (evaluation, saving) out of the time of an update."""
        self._last = None

    def resume(self) -> None:
        """Count again from here."""
        self._last = time.perf_counter()

    def mean_step_s(self) -> float:
        """Return the time of an update over the last ones, seconds; 0 while it is unknown."""
        if not self.step_s:
            return 0.0
        kept = sorted(self.step_s)[: max(1, math.ceil(0.9 * len(self.step_s)))]
        # Between the trimmed and the full mean: spikes happen, but the first ones are warm-up.
        return 0.5 * (sum(kept) / len(kept) + sum(self.step_s) / len(self.step_s))


@dataclasses.dataclass(frozen=True)
class Budget:
    """The time a run may take.

    Args:
        total_s: all of it, from the first byte read to the report.
        steps_per_row: updates between two evaluations.
        most_steps: an upper limit of updates, whatever the time.
        batch_size: images in an update.
        row_images: images that are evaluated for a row, averaged weights counted as well.
        final_images: images that are evaluated at the end.
        final_s: time of the end that does not depend on speed, seconds.
    """

    total_s: float
    steps_per_row: float
    most_steps: int
    batch_size: int
    row_images: int
    final_images: int
    final_s: float = 3.0

    def due(self, steps_here: int) -> bool:
        """Tell whether to plan again after so many updates of this process."""
        return steps_here in EARLY_STEPS

    def total_steps(self, step: int, clock: Clock) -> int:
        """Predict the step at which the time is up."""
        if not clock.step_s:
            return self.most_steps
        step_s, image_s = clock.mean_step_s(), self._evaluation_s(clock)
        row_s = clock.row_s or self.row_images * image_s
        left_s = self.total_s - clock.elapsed_s() - self.final_s - self.final_images * image_s
        cost_s = step_s + row_s / self.steps_per_row
        more = max(0, math.floor(left_s / cost_s))
        return max(1, min(step + more, self.most_steps))

    def _evaluation_s(self, clock: Clock) -> float:
        """Return what evaluating an image takes: as rows show, else a share of training it."""
        trained_s = clock.mean_step_s() / self.batch_size
        if not clock.row_s or not self.row_images:
            return EVALUATION_SHARE * trained_s
        return min(clock.row_s / self.row_images, trained_s)
