"""What a run will take: the measured step, times what the recipe and the data ask for."""

from __future__ import annotations

import dataclasses
import math

from reslab.plan.batches import Effort, step_costs
from reslab.plan.measure import Note
from reslab.plan.subject import ImagesCost, Subject, cost_of_images, resolve
from reslab.plan.task import StepCost, too_large
from reslab.training.config import Request
from reslab.training.recipe import Recipe

# The temperature, the saved model, the files of the evaluation and the report's page.
FINISH_S = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run will take.

    Args:
        epoch_s: an epoch with its evaluation, on average over the run, seconds.
        total_s: the whole run, from the command to the report, seconds.
        peak_mib: peak memory of the process, or of the GPU, MiB.
        images_per_s: training images a second at the full image size.
        epochs: passes over the training images.
        start_s: the part of `total_s` before the first step: imports, data, compiling.
        decode_s: the part that decodes images into the store, which the next run finds there.
        unrest: how uncertain that is: the spread of the step's time, or the share of the
            processors that other programs took; 0 on a quiet machine.
    """

    epoch_s: float
    total_s: float
    peak_mib: float
    images_per_s: float
    epochs: float
    start_s: float
    decode_s: float
    unrest: float

    def fits(self, memory_mib: float | None) -> bool:
        """Tell whether so much memory is enough; None stands for any."""
        return memory_mib is None or self.peak_mib <= memory_mib


def predict(request: Request, *, fresh: bool = False, note: Note | None = None) -> Forecast:
    """Predict time and memory of `reslab train` with a request, after measuring some steps.

    Args:
        request: as for training; with a `time_s`, no run takes longer.
        fresh: measure again what was measured on this machine before.
        note: called with a line before anything takes time.

    Raises:
        ReslabError: the request cannot be trained; `measure.OutOfMemory` where it does not fit.
    """
    subject = resolve(request)
    batch_size = subject.chosen.recipe.batch_size
    costs = step_costs(subject, [batch_size], Effort(fresh=fresh, note=note))
    if batch_size not in costs:
        raise too_large(subject.task())
    predicted = forecast(subject, costs[batch_size], cost_of_images(subject))
    if request.time_s is None:
        return predicted
    return dataclasses.replace(predicted, total_s=min(predicted.total_s, request.time_s))


def forecast(subject: Subject, cost: StepCost, images: ImagesCost) -> Forecast:
    """Predict a run from the cost of its step.

    Args:
        subject: what is trained on what; its recipe may have another batch size than the step.
        cost: what was measured.
        images: what the images cost.
    """
    recipe = subject.chosen.recipe
    num_train = subject.count("train")
    steps = recipe.steps or max(1, round(recipe.epochs * num_train / cost.batch_size))
    epochs = steps * cost.batch_size / num_train
    row_s, final_s = evaluation_s(subject, cost)
    # Rounding must not add a row: 3 epochs may come out as 3.0000000000000004.
    rows = math.ceil(epochs * recipe.rows_per_epoch - 1e-9)
    train_s = steps * mean_step_s(recipe, cost, images) + rows * row_s
    start_s = cost.cold_s + subject.opening_s + images.decode_s
    end_s = final_s + cost.save_s + FINISH_S
    # A checkpoint is saved every so many seconds of training, whatever a step takes: its time
    # is a share of the training's.
    return Forecast(
        epoch_s=train_s / epochs,
        total_s=start_s + train_s * (1 + cost.save_s / subject.request.save_every_s) + end_s,
        peak_mib=cost.peak_mib + images.memory_mib,
        images_per_s=cost.batch_size / step_s(cost.step_s, cost, images),
        epochs=epochs,
        start_s=start_s,
        decode_s=images.decode_s,
        unrest=cost.unrest,
    )


def mean_step_s(recipe: Recipe, cost: StepCost, images: ImagesCost) -> float:
    """Return the time of a step on average over the run, the early small ones included."""
    # Here the share is one of the steps; with a time budget it is one of the time (`epochs_in`).
    early = recipe.progressive_share * step_s(cost.early_step_s, cost, images)
    return early + (1 - recipe.progressive_share) * step_s(cost.step_s, cost, images)


def step_s(measured_s: float, cost: StepCost, images: ImagesCost) -> float:
    """Return the time of a step whose images may have to be decoded first.

    The cores decode while they also train, so that on a processor the times add up; on a GPU
    this is the most that it can be.
    """
    return measured_s + cost.batch_size * images.stream_s


def evaluation_s(subject: Subject, cost: StepCost) -> tuple[float, float]:
    """Return the time of a row's evaluation, and of the one at the end, seconds."""
    recipe = subject.chosen.recipe
    copies = 2 if recipe.ema > 0 else 1
    val, test = subject.count("val"), subject.count("test")
    in_row = copies * val + recipe.track_test * test
    at_end = copies * ((val + test) or subject.count("train"))
    return in_row * cost.eval_image_s, at_end * cost.eval_image_s


def epochs_in(time_s: float, subject: Subject, cost: StepCost, images: ImagesCost) -> float:
    """Return the passes over the training images that a run with a time budget makes.

    The early share is then one of the time, as in training.
    """
    recipe = subject.chosen.recipe
    row_s, final_s = evaluation_s(subject, cost)
    fixed_s = cost.cold_s + subject.opening_s + images.decode_s + final_s + cost.save_s + FINISH_S
    left_s = (time_s - fixed_s) / (1 + cost.save_s / subject.request.save_every_s)
    if left_s <= 0:
        return 0.0
    # A row's evaluation, spread over the steps between two rows.
    row_share_s = row_s * recipe.rows_per_epoch * cost.batch_size / subject.count("train")

    def rate(measured_s: float) -> float:
        return cost.batch_size / (step_s(measured_s, cost, images) + row_share_s)

    share = recipe.progressive_share
    # Shares of the time weigh rates; shares of the steps would weigh times.
    images_per_s = (1 - share) * rate(cost.step_s)
    if share > 0:
        images_per_s += share * rate(cost.early_step_s)
    return left_s * images_per_s / subject.count("train")
