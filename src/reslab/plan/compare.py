"""The ways to compute one training, side by side, and the fastest that fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from reslab.display.short import short_repr
from reslab.plan.batches import Effort, step_costs
from reslab.plan.forecast import Prediction, forecast
from reslab.plan.settings import Setting, Wishes, settings_for
from reslab.plan.subject import ImagesCost, Subject, cost_of_images

# The recipe's own setting is left for another one only where that gains more than this share.
NOISE = 0.03


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What a setting takes.

    Args:
        setting: the setting.
        subject: the training it makes.
        prediction: what it takes; None where the measuring process ran out of memory.
        measured: whether that batch was measured, not reckoned from others.
        fits: whether it fits into memory.
    """

    setting: Setting
    subject: Subject
    prediction: Prediction | None
    measured: bool
    fits: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rows, and which of them to take.

    Args:
        subject: the training as the recipe has it.
        rows: in the order they were measured.
        proposed: the fastest that fits, or None where nothing does.
        why: the reason in a sentence.
    """

    subject: Subject
    rows: tuple[Row, ...]
    proposed: Row | None
    why: str

    __repr__ = short_repr

    def changes(self, row: Row) -> dict[str, Any]:
        """Return the recipe fields that a row has otherwise than the recipe."""
        plain = self.subject.task().recipe
        return {k: v for k, v in row.setting.changes.items() if v != getattr(plain, k)}


def compare(subject: Subject, wishes: Wishes, effort: Effort) -> Comparison:
    """Measure the settings that come into question, and propose the fastest that fits.

    Where none fits, the first one is tried with its feature maps recomputed.

    Args:
        subject: what is trained on what.
        wishes: what may differ.
        effort: how to measure, and the memory there is.

    Raises:
        UsageError: the network cannot take the images.
    """
    rows: list[Row] = []
    images: dict[int, ImagesCost] = {}
    for settings in settings_for(subject, wishes):
        rows += _rows(subject, settings, effort, images)
    if _fastest(rows) is None:
        changes = {**rows[0].setting.changes, "checkpoint_activations": True}
        rows += _rows(subject, [Setting(changes=changes)], effort, images)
    best = _fastest(rows)
    if best is not None:
        several = sum(row.setting.free for row in rows) > 1
        why = "the fastest that fits into memory" if several else "it fits into memory"
        return Comparison(subject=subject, rows=tuple(rows), proposed=best, why=why)
    other = _fastest(rows, free_only=False)
    why = "nothing here fits into memory: use a smaller --batch-size, --img-size or network"
    if other is not None:
        why = "the recipe's own batch does not fit into memory; this one trains differently"
    return Comparison(subject=subject, rows=tuple(rows), proposed=other, why=why)


def _fastest(rows: Iterable[Row], *, free_only: bool = True) -> Row | None:
    """Return the quickest row that fits; the first one gives way only to more than noise."""
    found = [
        (row.prediction, place, row)
        for place, row in enumerate(rows)
        if row.prediction is not None and row.fits and (row.setting.free or not free_only)
    ]
    if not found:
        return None
    first, best = found[0], min(found, key=lambda each: (each[0].total_s, each[1]))
    noise = max(NOISE, first[0].unrest / 2, best[0].unrest / 2)
    return best[2] if best[0].total_s < (1 - noise) * first[0].total_s else first[2]


def _rows(
    subject: Subject, settings: list[Setting], effort: Effort, images: dict[int, ImagesCost]
) -> list[Row]:
    """Measure settings that differ in the batch alone."""
    subjects = [subject.with_changes(setting.changes) for setting in settings]
    batch_sizes = [part.chosen.recipe.batch_size for part in subjects]
    img_size = subjects[0].chosen.spec.img_size
    if img_size not in images:
        images[img_size] = cost_of_images(subjects[0])
    costs = step_costs(subjects[0], batch_sizes, effort, settings[0].threads)
    rows = []
    for setting, part, batch_size in zip(settings, subjects, batch_sizes, strict=True):
        cost = costs.get(batch_size)
        prediction = None if cost is None else forecast(part, cost, images[img_size])
        fits = prediction is not None and prediction.fits(effort.memory_mib)
        measured = cost is not None and not cost.reckoned
        rows.append(
            Row(setting=setting, subject=part, prediction=prediction, measured=measured, fits=fits)
        )
    return rows
