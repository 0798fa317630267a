"""The measuring process: it trains for real, for some seconds, on images of noise.

A process of its own, so that the peak of its memory is the run's and nothing is left behind.
Its `main` is what a `reslab.child.Child` runs: it reads a task and answers with one line.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reslab import machine
from reslab.child import Parent
from reslab.data.dataset import ArrayImages, Dataset
from reslab.data.image_cache import FittedImages, ImageCache, resident
from reslab.data.preprocess import Preprocess
from reslab.display.short import short_repr
from reslab.machine import MIB, OtherPrograms
from reslab.plan.task import StepCost, Task, too_large
from reslab.runs.config import Config
from reslab.runs.directory import RunDirectory
from reslab.training import saving
from reslab.training.accumulator import steps_per_read
from reslab.training.budget import Clock
from reslab.training.build import build_training
from reslab.training.config import Request
from reslab.training.distributed import World
from reslab.training.evaluating import EVAL_BATCH, averaged, split_evaluator
from reslab.training.loop import open_steps
from reslab.training.preprocessing import geometry, with_statistics
from reslab.training.step import Training
from reslab.training.stop import StopRequest

WARM_STEPS, WARM_S = 2, 0.5
LEAST_STEPS, MOST_STEPS = 3, 200
EVALUATION_S = 1.0
# Noise cannot be learnt: at a rate like this the weights stay where they are, and finite.
Step = Callable[[Any, float], torch.Tensor]
RATE = 1e-6


@dataclasses.dataclass(frozen=True)
class Noise:
    """Images of noise in the shape of a task's images.

    Args:
        dataset: as many as some batches need.
        fitted: the same, ready for the loader.
        preprocess: how they become input.
    """

    dataset: Dataset
    fitted: FittedImages
    preprocess: Preprocess


@dataclasses.dataclass(frozen=True)
class Pace:
    """How fast updates of one size are taken, once they are warm.

    Args:
        step_s: time of an update, seconds; one value for all that were waited for together.
        total_s: time of all updates that were timed, seconds.
        others: share of the processors that other programs took meanwhile.
    """

    step_s: list[float]
    total_s: float
    others: float

    __repr__ = short_repr


def measure(task: Task, seconds: float, began: float) -> StepCost:
    """Train, evaluate and save as a run does, and measure each.

    Args:
        task: what to train.
        seconds: how long to take steps of each size, after the warm-up.
        began: `time.time()` when this process was started.
    """
    device = torch.device(task.device)
    if device.type == "cpu":
        machine.keep_memory()
    noise = make_noise(task, device)
    config = Config(
        request=Request(data="noise"),
        spec=task.spec,
        recipe=task.recipe,
        choices=(),
        dataset={},
        preprocess={},
        cost={},
        environment={},
    )
    training = build_training(
        config, noise.dataset, noise.fitted, noise.preprocess, device, World()
    )
    training.network.train()
    paces: list[Pace] = []
    with open_steps(training, _nobody) as (batches, step):
        if task.recipe.progressive_share > 0:
            paces.append(_pace(training, batches, step, seconds / 2))
        training.state.step = training.state.plan.total_steps  # the images are large by now
        paces.append(_pace(training, batches, step, seconds))
    *early, full = paces
    # What a run takes before it keeps its pace: imports, building, compiling, first steps.
    cold_s = time.time() - began - sum(pace.total_s for pace in paces)
    eval_image_s = _evaluation(training, noise)
    return StepCost(
        batch_size=task.recipe.batch_size,
        step_s=_mean_s(full.step_s),
        early_step_s=_mean_s(early[0].step_s) if early else 0.0,
        spread=_spread(full.step_s),
        others=max(pace.others for pace in paces),
        eval_image_s=eval_image_s,
        save_s=_save(training),
        cold_s=max(0.0, cold_s),
        peak_mib=machine.peak_mib(device) - noise.fitted.num_bytes / MIB,
    )


def make_noise(task: Task, device: torch.device) -> Noise:
    """Make images, labels and splits for the steps and one batch of evaluation."""
    preprocess = geometry(task.recipe, task.spec.in_chans)
    num_eval = max(1, min(task.evaluated, EVAL_BATCH))
    num_images = 2 * task.recipe.batch_size + num_eval
    side, channels = preprocess.resize_size, preprocess.in_chans
    shape = (num_images, side, side) if channels == 1 else (num_images, side, side, channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    dataset = Dataset(
        name="noise",
        classes=tuple(f"class {k}" for k in range(task.spec.num_classes)),
        images=ArrayImages(pixels),
        labels=np.arange(num_images, dtype=np.int64) % task.spec.num_classes,
        splits={
            "train": np.arange(num_eval, num_images, dtype=np.int64),
            "val": np.arange(num_eval, dtype=np.int64),
        },
    )
    store = ImageCache(torch.from_numpy(pixels.reshape(num_images, side, side, channels)))
    preprocess = with_statistics(preprocess, task.recipe, dataset, store)
    return Noise(dataset, resident(store, device), preprocess)


def _pace(training: Training, batches: Iterator[Any], step: Step, seconds: float) -> Pace:
    """Take updates until they keep a steady pace, then for so many seconds; time the latter."""
    together = steps_per_read(training)

    def some() -> float:
        began = time.perf_counter()
        for _ in range(together):
            sums = step(next(batches), RATE)
        sums.tolist()  # as in the loop: the sums are waited for
        return (time.perf_counter() - began) / together

    _repeat(some, WARM_S / together, WARM_STEPS)
    # Not before: whatever compiles the first updates is a program of its own.
    others = OtherPrograms()
    step_s = _repeat(some, seconds / together, LEAST_STEPS)
    return Pace(step_s, together * sum(step_s), others.share())


def _mean_s(times: list[float]) -> float:
    """Average as the clock of a run does."""
    clock = Clock(0.0, 0.0)
    clock.step_s.extend(times)
    return clock.mean_step_s()


def _nobody(_text: str) -> None:
    """Hear a note."""


def _repeat(action: Callable[[], float], seconds: float, least: int) -> list[float]:
    times: list[float] = []
    while len(times) < least or (sum(times) < seconds and len(times) < MOST_STEPS):
        times.append(action())
    return times


def _evaluation(training: Training, noise: Noise) -> float:
    """Evaluate a batch, with the averaged weights where there are such; seconds an image."""
    evaluate = split_evaluator(
        training, noise.dataset, noise.fitted, noise.preprocess, StopRequest()
    )

    def once() -> float:
        began = time.perf_counter()
        evaluate("val")
        return time.perf_counter() - began

    with averaged(training):
        times = _repeat(once, EVALUATION_S, 1)
    return min(times) / len(noise.dataset.split("val"))


def _save(training: Training) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        saving.save(training, RunDirectory(Path(folder)), Clock(0.0, began))
        return time.perf_counter() - began


def _spread(times: list[float]) -> float:
    if len(times) < 4:
        return max(times) / min(times) - 1
    quarter, _, three_quarters = statistics.quantiles(times, n=4)
    return (three_quarters - quarter) / statistics.median(times)


def main(parent: Parent) -> int:
    """Read a task, measure it, answer."""
    asked = parent.recv()
    task = Task.from_json(asked["task"])
    try:
        cost = measure(task, asked["seconds"], asked["began"])
    except RuntimeError as error:
        if not machine.is_out_of_memory(error):
            raise
        raise too_large(task) from error
    parent.send(dataclasses.asdict(cost))
    return 0
