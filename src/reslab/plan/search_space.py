"""The ways to compute a training that may be proposed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from reslab import machine
from reslab.machine import available_cores
from reslab.plan.subject import Subject


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What may differ from what the recipe says.

    Args:
        batch_sizes: images a step that may be proposed; none for the recipe's own.
        img_sizes: sides of the input that may be proposed; none for the recipe's own.
        precisions: arithmetic that may be proposed; none for what "auto" allows.
        thorough: try a compiled network, NCHW and fewer threads too.
    """

    batch_sizes: tuple[int, ...] = ()
    img_sizes: tuple[int, ...] = ()
    precisions: tuple[str, ...] = ()
    thorough: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to compute a training.

    Args:
        changes: the recipe fields that say so.
        threads: threads of the arithmetic on a processor; 0 for torch's own choice.
        free: whether it may be proposed: nothing that the recipe or the user fixed is changed.
    """

    changes: Mapping[str, Any]
    threads: int = 0
    free: bool = True


def variants_in(subject: Subject, space: SearchSpace) -> list[list[Variant]]:
    """Return the variants to look at, the recipe's own first; those of a group differ in batch.

    What the user lists may be chosen; what nobody lists stays as the recipe has it, except for
    what changes nothing but speed. Batches around the recipe's own are there to be seen.
    """
    recipe = subject.chosen.recipe
    usable = _precisions(subject)
    free = space.precisions or (usable if recipe.precision == "auto" else (subject.precision,))
    named = space.precisions or "precision" in subject.request.overrides
    precisions = [*free, *(p for p in usable if p not in free and not named)]
    around = () if space.batch_sizes else (recipe.batch_size // 2, 2 * recipe.batch_size)
    groups: list[list[Variant]] = []
    for img_size in space.img_sizes or (recipe.img_size,):
        for precision in precisions:
            first = not groups
            base: dict[str, Any] = {"precision": precision}
            if space.img_sizes:
                base["img_size"] = img_size
            group = [
                Variant(changes={**base, "batch_size": batch_size}, free=precision in free)
                for batch_size in space.batch_sizes or (recipe.batch_size,)
            ]
            if first:
                group += [
                    Variant(changes={**base, "batch_size": batch_size}, free=False)
                    for batch_size in around
                    if batch_size
                ]
            groups.append(group)
    if space.thorough:
        groups += _thorough(subject, groups[0][0].changes)
    return groups


def _thorough(subject: Subject, base: Mapping[str, Any]) -> list[list[Variant]]:
    """Return variants that compute the same in another way than the first one."""
    recipe, fixed = subject.chosen.recipe, subject.request.overrides
    groups = [
        [Variant(changes={**base, name: not getattr(recipe, name)})]
        for name in ("compile", "channels_last")
        if name not in fixed
    ]
    threads = available_cores() // 2 if subject.device.type == "cpu" else 0
    while threads:
        groups.append([Variant(changes=base, threads=threads)])
        threads //= 2
    return groups


def _precisions(subject: Subject) -> tuple[str, ...]:
    """Return what the device computes quickly enough to be worth a measurement."""
    device = subject.device
    if machine.autocast_dtype("auto", device) is not None:
        return ("bf16", "fp32")
    return ("fp16", "fp32") if device.type == "cuda" else ("fp32",)
