"""The cost of a step at any batch: measured, or on the line through two batches that were."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from reslab.machine import available_cores
from reslab.networks import NetworkSpec
from reslab.networks import cost as network_cost
from reslab.plan.measure import Note, measure
from reslab.plan.subject import Subject
from reslab.plan.task import OutOfMemory, StepCost

# Multiply-adds of a step that is still measured: on a processor a core's share, a few seconds.
CPU_STEP_MACS = 80e9
GPU_STEP_MACS = 20e12
# A batch is not doubled where this share of the memory is taken: the system might end others.
NEARLY_FULL = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How to measure.

    Args:
        fresh: measure again what was measured on this machine before.
        note: called with a line before anything takes time.
        memory_mib: what a run may take; None for no limit.
    """

    fresh: bool = False
    note: Note | None = None
    memory_mib: float | None = None


def step_costs(
    subject: Subject, batch_sizes: Sequence[int], effort: Effort, threads: int = 0
) -> dict[int, StepCost]:
    """Return what a step costs at each batch; those that run out of memory are left out.

    Args:
        subject: what is trained on what.
        batch_sizes: images a step.
        effort: how to measure.
        threads: threads of the arithmetic on a processor; 0 for torch's own choice.

    Raises:
        UsageError: the network cannot take images of this size.
    """
    costs: dict[int, StepCost] = {}
    for batch_size in _measured_batches(subject, batch_sizes):
        if costs and effort.memory_mib is not None:
            smaller = next(iter(costs.values()))
            if smaller.peak_mib > NEARLY_FULL * effort.memory_mib:
                break
        task = dataclasses.replace(
            subject.with_changes({"batch_size": batch_size}).task(), threads=threads
        )
        try:
            costs[batch_size] = measure(task, fresh=effort.fresh, note=effort.note)
        except OutOfMemory:
            break
    found = {}
    for batch_size in batch_sizes:
        if batch_size in costs:
            found[batch_size] = costs[batch_size]
        elif len(costs) == 2:
            low, high = costs.values()
            found[batch_size] = low.at_batch(batch_size, high)
    return found


def _measured_batches(subject: Subject, wanted: Sequence[int]) -> list[int]:
    """Return the batches to measure, the smaller one first: the first wanted, and a second one."""
    most = _largest_batch(subject)
    first = min(wanted[0], most)
    if set(wanted) == {first}:
        return [first]
    others = [batch_size for batch_size in wanted if batch_size <= most and batch_size != first]
    return sorted([first, min(others, default=first // 2 or 2)])


@functools.cache
def measured_cost(spec: NetworkSpec) -> network_cost.Cost:
    """Return a network's parameters and multiply-adds for one image.

    Raises:
        UsageError: it cannot take images of its size.
    """
    return network_cost.measure(spec)


def _largest_batch(subject: Subject) -> int:
    """Return the largest batch that is measured, 2 or more: a line goes through two."""
    # A step is three forward passes: the backward one computes two gradients, of maps and weights.
    macs = 3 * measured_cost(subject.chosen.spec).macs
    if subject.device.type == "cuda":
        return max(2, int(GPU_STEP_MACS / macs))
    return max(2, int(CPU_STEP_MACS * available_cores() / macs))
