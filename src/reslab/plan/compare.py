"""The ways to compute one training, side by side, and the fastest that fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from reslab.display.short import short_repr
from reslab.plan.batches import Effort, step_costs
from reslab.plan.forecast import Forecast, forecast
from reslab.plan.search_space import SearchSpace, Variant, variants_in
from reslab.plan.subject import ImagesCost, Subject, cost_of_images

# The recipe's own variant is left for another one only where that gains more than this share.
NOISE = 0.03


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What a variant takes.

    Args:
        variant: the variant.
        subject: the training it makes.
        prediction: what it takes; None where the measuring process ran out of memory.
        measured: whether that batch was measured, not interpolated from others.
        fits: whether it fits into memory.
    """

    variant: Variant
    subject: Subject
    prediction: Forecast | None
    measured: bool
    fits: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """All trials, and which of them to take.

    Args:
        subject: the training as the recipe has it.
        trials: in the order they were measured.
        proposed: the fastest that fits, or None where nothing does.
        why: the reason in a sentence.
    """

    subject: Subject
    trials: tuple[Trial, ...]
    proposed: Trial | None
    why: str

    __repr__ = short_repr

    def changes(self, trial: Trial) -> dict[str, Any]:
        """Return the recipe fields that a trial has otherwise than the recipe."""
        plain = self.subject.task().recipe
        return {k: v for k, v in trial.variant.changes.items() if v != getattr(plain, k)}


def compare(subject: Subject, space: SearchSpace, effort: Effort) -> Comparison:
    """Measure the variants of the search space, and propose the fastest that fits.

    Where none fits, the first one is tried with its feature maps recomputed.

    Args:
        subject: what is trained on what.
        space: what may differ.
        effort: how to measure, and the memory there is.

    Raises:
        UsageError: the network cannot take the images.
    """
    trials: list[Trial] = []
    images: dict[int, ImagesCost] = {}
    for variants in variants_in(subject, space):
        trials += _measured(subject, variants, effort, images)
    if _fastest(trials) is None:
        changes = {**trials[0].variant.changes, "checkpoint_activations": True}
        trials += _measured(subject, [Variant(changes=changes)], effort, images)
    best = _fastest(trials)
    if best is not None:
        several = sum(trial.variant.free for trial in trials) > 1
        why = "the fastest that fits into memory" if several else "it fits into memory"
        return Comparison(subject=subject, trials=tuple(trials), proposed=best, why=why)
    other = _fastest(trials, free_only=False)
    why = "nothing here fits into memory: use a smaller --batch-size, --img-size or network"
    if other is not None:
        why = "the recipe's own batch does not fit into memory; this one trains differently"
    return Comparison(subject=subject, trials=tuple(trials), proposed=other, why=why)


def _fastest(trials: Iterable[Trial], *, free_only: bool = True) -> Trial | None:
    """Return the quickest trial that fits; the first one gives way only to more than noise."""
    found = [
        (trial.prediction, place, trial)
        for place, trial in enumerate(trials)
        if trial.prediction is not None and trial.fits and (trial.variant.free or not free_only)
    ]
    if not found:
        return None
    first, best = found[0], min(found, key=lambda each: (each[0].total_s, each[1]))
    noise = max(NOISE, first[0].unrest / 2, best[0].unrest / 2)
    return best[2] if best[0].total_s < (1 - noise) * first[0].total_s else first[2]


def _measured(
    subject: Subject, variants: list[Variant], effort: Effort, images: dict[int, ImagesCost]
) -> list[Trial]:
    """Measure variants that differ in the batch alone."""
    subjects = [subject.with_changes(variant.changes) for variant in variants]
    batch_sizes = [part.chosen.recipe.batch_size for part in subjects]
    img_size = subjects[0].chosen.spec.img_size
    if img_size not in images:
        images[img_size] = cost_of_images(subjects[0])
    costs = step_costs(subjects[0], batch_sizes, effort, variants[0].threads)
    trials = []
    for variant, part, batch_size in zip(variants, subjects, batch_sizes, strict=True):
        cost = costs.get(batch_size)
        prediction = None if cost is None else forecast(part, cost, images[img_size])
        fits = prediction is not None and prediction.fits(effort.memory_mib)
        measured = cost is not None and not cost.reckoned
        trials.append(
            Trial(
                variant=variant, subject=part, prediction=prediction, measured=measured, fits=fits
            )
        )
    return trials
