"""Measurements put where `measure` finds them, so that nothing has to be measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from reslab.plan import remember
from reslab.plan.search_space import SearchSpace, Variant, variants_in
from reslab.plan.subject import Subject
from reslab.plan.task import StepCost, Task

COST = StepCost(
    batch_size=64,
    step_s=0.1,
    early_step_s=0.06,
    spread=0.02,
    others=0.01,
    eval_image_s=0.001,
    save_s=0.2,
    cold_s=5.0,
    peak_mib=800.0,
)
CostOf = Callable[[Task], StepCost]


def keep_variant(subject: Subject, variant: Variant, cost_of: CostOf) -> None:
    """Keep what a variant costs."""
    task = dataclasses.replace(
        subject.with_changes(variant.changes).task(), threads=variant.threads
    )
    cost = dataclasses.replace(cost_of(task), batch_size=task.recipe.batch_size)
    remember.keep(remember.key_of(task), cost)


def keep_all(subject: Subject, space: SearchSpace, cost_of: CostOf) -> None:
    """Keep what every variant costs that is looked at."""
    for group in variants_in(subject, space):
        for variant in group:
            keep_variant(subject, variant, cost_of)
