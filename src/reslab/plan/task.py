"""What is to be trained, as far as time and memory depend on it, and what a step costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from reslab import dataclass_json, networks
from reslab.errors import MachineError
from reslab.training.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A training whose step is to be measured.

    Args:
        spec: the network, for the data's classes and channels.
        recipe: every number of the training.
        evaluated: images of the largest split that is evaluated; no batch is larger than that.
        device: where to compute, "cpu" or "cuda:0".
        threads: threads of the arithmetic on a processor; 0 for torch's own choice.
    """

    spec: networks.NetworkSpec
    recipe: Recipe
    evaluated: int
    device: str
    threads: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what the measuring process is told."""
        return {**dataclass_json.to_json(self), "spec": networks.to_json(self.spec)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Task:
        """Rebuild what `to_json` returned."""
        fields = {**value, "spec": networks.from_json(value["spec"])}
        return dataclass_json.from_json(cls, fields, "task")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepCost:
    """What was measured of a task.

    Args:
        batch_size: images a step.
        step_s: time of an update, making its batch included, seconds.
        early_step_s: the same while the recipe trains on smaller images; 0 where it never does.
        spread: distance of the quartiles of the step's time, relative to the median.
        others: share of the processors that other programs took meanwhile.
        eval_image_s: time of an image in evaluation, seconds.
        save_s: time of a checkpoint, seconds.
        cold_s: time from the start of the process to a steady pace, less the steps that were
            taken meanwhile, seconds.
        peak_mib: peak memory, less the images of the data set, MiB: of the process, or of the
            device where that is a GPU.
        reckoned: whether it lies on the line through two that were measured.
    """

    batch_size: int
    step_s: float
    early_step_s: float
    spread: float
    others: float
    eval_image_s: float
    save_s: float
    cold_s: float
    peak_mib: float
    reckoned: bool = False

    @property
    def unrest(self) -> float:
        """How far the machine was from doing nothing else: 0 where it was quiet."""
        return max(self.spread, self.others)

    def at_batch(self, batch_size: int, other: StepCost) -> StepCost:
        """Return the cost at another batch, on the straight line through this one and `other`.

        A batch costs a fixed part (weights, optimizer, launching) and a part for each image.
        """
        share = (batch_size - self.batch_size) / (other.batch_size - self.batch_size)

        def on_line(name: str) -> float:
            here, there = float(getattr(self, name)), float(getattr(other, name))
            # Noise must not make a larger batch cheaper, nor a smaller one cost nothing.
            slope_only = max(here, there) * batch_size / max(self.batch_size, other.batch_size)
            return max(here + share * (there - here), 0.5 * slope_only)

        return dataclasses.replace(
            self,
            batch_size=batch_size,
            step_s=on_line("step_s"),
            early_step_s=on_line("early_step_s"),
            peak_mib=on_line("peak_mib"),
            spread=max(self.spread, other.spread),
            others=max(self.others, other.others),
            cold_s=max(self.cold_s, other.cold_s),
            reckoned=True,
        )


class OutOfMemory(MachineError):  # noqa: N818 - as Python's own MemoryError says what, not that
    """The task does not fit into the memory of the machine."""


def describe(task: Task) -> str:
    """Say in a few words what a task is."""
    recipe = task.recipe
    words = [
        task.spec.name,
        recipe.precision,
        f"batch {recipe.batch_size}",
        f"{recipe.img_size} px",
    ]
    words += ["compiled"] if recipe.compile else []
    words += [] if recipe.channels_last else ["NCHW"]
    words += ["recomputing"] if recipe.checkpoint_activations else []
    words += [f"{task.threads} threads"] if task.threads else []
    return ", ".join(words)


def too_large(task: Task) -> OutOfMemory:
    """Build the error for a task that runs out of memory."""
    return OutOfMemory(
        f"{describe(task)} does not fit into the memory of {task.device}",
        remedy="use --checkpoint-activations, or a smaller --batch-size or --img-size",
    )
