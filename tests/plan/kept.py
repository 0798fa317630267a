"""Measurements put where `measure` finds them, so that nothing has to be measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from reslab.plan import remember
from reslab.plan.settings import Setting, Wishes, settings_for
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


def keep_setting(subject: Subject, setting: Setting, cost_of: CostOf) -> None:
    """Keep what a setting costs."""
    task = dataclasses.replace(
        subject.with_changes(setting.changes).task(), threads=setting.threads
    )
    cost = dataclasses.replace(cost_of(task), batch_size=task.recipe.batch_size)
    remember.keep(remember.key_of(task), cost)


def keep_all(subject: Subject, wishes: Wishes, cost_of: CostOf) -> None:
    """Keep what every setting costs that is looked at."""
    for group in settings_for(subject, wishes):
        for setting in group:
            keep_setting(subject, setting, cost_of)
