"""The learning rate as a pure function of the step, so that it can be plotted and tested."""

from __future__ import annotations

import dataclasses
import math

from reslab.training.recipe import Recipe

ONE_CYCLE_RISE = 0.25
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4


@dataclasses.dataclass(frozen=True)
class Plan:
    """How far along the run a step is.

    A run of fixed length has one plan. A run with a time budget is planned again when its
    measured speed changes: progress then goes on from where it stands, to end at the new total.

    Args:
        total_steps: the step at which the run ends.
        from_step: the step at which this plan was made.
        from_progress: the progress at that step, in [0, 1].
    """

    total_steps: int
    from_step: int = 0
    from_progress: float = 0.0

    def progress(self, step: float) -> float:
        """Return the share of the schedule that lies behind a step, in [0, 1]."""
        if step < self.from_step:  # the update just taken, asked for under a newer plan
            return self.from_progress
        if step >= self.total_steps:
            return 1.0
        ahead = (step - self.from_step) / (self.total_steps - self.from_step)
        return self.from_progress + (1.0 - self.from_progress) * ahead

    def replan(self, step: int, total_steps: int) -> Plan:
        """Keep the progress made so far and end at another step."""
        return Plan(max(total_steps, step), step, self.progress(step))


@dataclasses.dataclass
class Adaptation:
    """What of the learning rate depends on how training goes, not on the step alone.

    Args:
        plateau_factor: product of the drops of the "plateau" schedule so far.
        plateau_best: lowest validation loss seen by it.
        plateau_bad_epochs: rows since then.
        warm_end: step at which a warm-up that waits for the training error has ended.
    """

    plateau_factor: float = 1.0
    plateau_best: float = math.inf
    plateau_bad_epochs: int = 0
    warm_end: int | None = None

    def observe_loss(self, loss: float, recipe: Recipe) -> None:
        """Let the plateau schedule see the validation loss of an epoch."""
        if loss < self.plateau_best:
            self.plateau_best = loss
            self.plateau_bad_epochs = 0
            return
        self.plateau_bad_epochs += 1
        if self.plateau_bad_epochs > recipe.plateau_patience * recipe.rows_per_epoch:
            self.plateau_factor *= recipe.gamma
            self.plateau_bad_epochs = 0


def learning_rate(recipe: Recipe, step: int, plan: Plan, adaptation: Adaptation) -> float:
    """Return the learning rate of an update; step 0 is the first.

    A constant warm-up (He et al. 2015, section 4.2: 0.01 until the training error is below
    80%) comes before the schedule without shifting it; a linear one rises to the schedule.
    """
    warm = _warm_up(recipe, step, adaptation)
    if warm is not None and recipe.warmup_lr > 0:
        return warm
    # A linear warm-up scales the schedule instead of delaying it: drops stay where they are.
    rate = recipe.lr * _shape(recipe, plan.progress(step)) * adaptation.plateau_factor
    return rate if warm is None else rate * warm


def _warm_up(recipe: Recipe, step: int, adaptation: Adaptation) -> float | None:
    """Return the constant rate or the linear factor of the warm-up, None after it."""
    if recipe.warmup_until_error_pct > 0 and recipe.warmup_lr > 0:
        return recipe.warmup_lr if adaptation.warm_end is None else None
    if step >= recipe.warmup_steps:
        return None
    # step + 1: the first update would otherwise have a rate of zero.
    return recipe.warmup_lr if recipe.warmup_lr > 0 else (step + 1) / recipe.warmup_steps


def _shape(recipe: Recipe, progress: float) -> float:
    """Return the schedule's value relative to the peak."""
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if recipe.schedule == "step":
        passed = sum(progress >= milestone for milestone in recipe.milestones)
        return float(recipe.gamma**passed)
    if recipe.schedule == "one-cycle":
        if progress < ONE_CYCLE_RISE:
            return _cosine_between(ONE_CYCLE_START, 1.0, progress / ONE_CYCLE_RISE)
        return _cosine_between(
            1.0, ONE_CYCLE_END, (progress - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)
        )
    return 1.0


def _cosine_between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
