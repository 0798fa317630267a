"""The training loop: it reads from top to bottom, and nothing else steers it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from reslab.errors import StoppedError
from reslab.runs import checkpoint
from reslab.runs.directory import RunDirectory
from reslab.training.accumulator import MetricAccumulator
from reslab.training.budget import Budget, Clock
from reslab.training.cuda_graph import Graph, GraphedStep, make_graph
from reslab.training.evaluating import Interrupted
from reslab.training.observe import Observer, StepEvent
from reslab.training.probe import Probe
from reslab.training.progressive import cost_of_the_rest
from reslab.training.saving import agree, diverged, save, weights
from reslab.training.schedule import learning_rate
from reslab.training.state import EpochRow
from reslab.training.step import Training, train_step
from reslab.training.stop import StopRequest


@dataclasses.dataclass(frozen=True)
class Watch:
    """What the loop needs besides the training itself.

    Args:
        evaluate: measures the splits that a row reports; returns its columns.
        run: where rows, events and checkpoints go.
        observer: who watches.
        stop: whether someone asked to stop.
        clock: the time.
        budget: the time there is, or None.
        save_every_s: seconds between two checkpoints.
        probe: records the network's signal where that is due, or None.
    """

    evaluate: Callable[[], EpochRow]
    run: RunDirectory
    observer: Observer
    stop: StopRequest
    clock: Clock
    budget: Budget | None
    save_every_s: float
    probe: Probe | None = None


@contextlib.contextmanager
def open_steps(
    training: Training, note: Callable[[str], None], graph: Graph | None = None
) -> Iterator[tuple[Iterator[Any], Callable[[Any, float], Tensor]]]:
    """Open the batches from the state's step on, and what takes an update with each.

    Args:
        training: what is trained.
        note: told in one line where updates cannot be captured as a graph.
        graph: what captures them, where they are; None for that of the device.

    Yields:
        (batches, step): ``step(next(batches), rate)`` takes the next update as `train_step` does.
    """
    first, loader = training.state.step, training.loader
    if not training.graphed:
        with contextlib.closing(loader.prefetch(first, sys.maxsize)) as batches:
            yield batches, functools.partial(train_step, training)
        return
    graph = graph or make_graph(training.device)
    with contextlib.closing(loader.prefetch_raw(first, sys.maxsize)) as raws:
        try:
            yield raws, GraphedStep(training, graph, note)
        finally:
            graph.reset()


def train(training: Training, watch: Watch) -> None:
    """Train from the state's step to the end of the plan.

    Raises:
        StoppedError: a signal asked to stop; a checkpoint was written.
        DivergedError: the loss or the weights are no longer finite; nothing was overwritten.
    """
    state, recipe, clock = training.state, training.recipe, watch.clock
    first_step, saved_at = state.step, time.monotonic()
    training.network.train()
    accumulator = MetricAccumulator(training)

    def next_row() -> int:
        return state.next_row_step(training.num_train, recipe.batch_size, recipe.rows_per_epoch)

    with open_steps(training, watch.observer.note) as (batches, step):
        while True:
            # 1. The end of (a part of) an epoch: evaluate, write a row, decide whether to go on.
            if state.step >= next_row() > state.last_row_step:
                end_epoch(training, watch)
                if _patience_is_over(training):
                    watch.observer.note(f"no improvement for {recipe.patience} epochs: stopped")
                    state.plan = dataclasses.replace(state.plan, total_steps=state.step)
                if state.step > first_step:
                    _plan_again(training, watch)
            if watch.probe is not None and watch.probe.measure_if_due():
                clock.resume()
            if state.step >= state.plan.total_steps and state.step == state.last_row_step:
                break

            # 2. One update. What it sums up stays on the device until somebody has to know.
            rate = learning_rate(recipe, state.step, state.plan, state.adaptation)
            sums = step(next(batches), rate)
            state.step += 1
            save_due = time.monotonic() - saved_at > watch.save_every_s
            stop, save_now = _share(training, accumulator, sums, watch.stop, save_due)
            replan = watch.budget is not None and watch.budget.due(state.step - first_step)
            row_due = state.step >= next_row()
            if stop or save_now or replan or row_due or accumulator.is_due():
                clock.tick(accumulator.read())
                _end_warm_up(training)
                watch.observer.step(_event(training, watch, rate))

            # 3. Safety: stop on nonsense before anything good is overwritten; save; obey.
            if not math.isfinite(state.loss_sum):
                raise diverged(training, watch.run)
            if stop:
                save(training, watch.run, clock)
                raise stopped(watch)
            if save_now:
                save(training, watch.run, clock)
                saved_at = time.monotonic()
            if replan:
                _plan_again(training, watch)
    save(training, watch.run, clock)


def end_epoch(training: Training, watch: Watch) -> None:
    """Evaluate and append the row of the epoch that has just ended."""
    state, clock = training.state, watch.clock
    clock.pause()
    began = time.perf_counter()
    agree(training)
    try:
        measured = watch.evaluate()
    except Interrupted as interruption:
        # The epoch's sums are still in the state: a resumed run evaluates first.
        save(training, watch.run, clock)
        raise stopped(watch) from interruption
    rate = learning_rate(training.recipe, state.step - 1, state.plan, state.adaptation)
    row: EpochRow = {
        "epoch": round(state.step * training.recipe.batch_size / training.num_train, 4),
        "step": state.step,
        "lr": rate,
        "train_loss": state.loss_sum / state.images,
        "train_error_pct": 100 * state.wrong / state.images,
        **measured,
    }
    state.rows.append(row)
    state.reset_sums()
    _judge(training, watch.run, row)
    if training.world.writes:
        watch.run.write_rows(state.rows)
        step_s = clock.mean_step_s()
        watch.run.append_event(
            {
                "event": "epoch",
                "epoch": row["epoch"],
                "step": state.step,
                "elapsed_s": round(clock.elapsed_s(), 3),
                "images_per_s": round(training.recipe.batch_size / step_s, 1) if step_s else None,
                "evaluation_s": round(time.perf_counter() - began, 3),
            }
        )
    watch.observer.epoch(row)
    clock.row_s = time.perf_counter() - began
    clock.resume()


def _judge(training: Training, run: RunDirectory, row: EpochRow) -> None:
    """Let the plateau schedule, early stopping and the best checkpoint see a row."""
    state, recipe = training.state, training.recipe
    loss = row.get("val_loss")
    if recipe.schedule == "plateau" and loss is not None:
        state.adaptation.observe_loss(float(loss), recipe)
    if recipe.monitor == "none":
        return
    prefix = "ema_" if training.ema is not None else ""
    column = "val_loss" if recipe.monitor == "val_loss" else "val_error_pct"
    value = row.get(prefix + column)
    assert value is not None, "a monitored run has a validation split"
    if state.best_value is None or value < state.best_value:
        state.best_value, state.best_step, state.bad_epochs = float(value), state.step, 0
        if training.world.writes:
            checkpoint.save_best(run.checkpoints, state, weights(training))
    else:
        state.bad_epochs += 1


def _patience_is_over(training: Training) -> bool:
    recipe, state = training.recipe, training.state
    return 0 < recipe.patience * recipe.rows_per_epoch <= state.bad_epochs


def _end_warm_up(training: Training) -> None:
    """End the warm-up that waits for the training error (He et al. 2015, section 4.2)."""
    state, limit = training.state, training.recipe.warmup_until_error_pct
    if limit > 0 and state.adaptation.warm_end is None and state.recent_error_pct() < limit:
        state.adaptation.warm_end = state.step


def _plan_again(training: Training, watch: Watch) -> None:
    """Fit the rest of the run into the time that is left; every process takes rank 0's plan.

    A run that has reached its end stays there: its schedule is spent.
    """
    state = training.state
    if watch.budget is None or state.step >= state.plan.total_steps:
        return
    total = watch.budget.total_steps(state.step, watch.clock)
    total = int(training.world.share(total))
    if total != state.plan.total_steps:
        state.plan = state.plan.replan(state.step, total)


def _share(
    training: Training,
    accumulator: MetricAccumulator,
    sums: Tensor,
    stop: StopRequest,
    save_due: bool,
) -> tuple[bool, bool]:
    """Add up the step over all processes, and ask who wants to stop or save.

    One small sum tells every process the same, so that all stop at the same step. Where the device
    works on by itself, they are asked as seldom as sums are read: an answer has to be waited for.
    """
    if training.world.size == 1:
        accumulator.add(sums)
        return bool(stop), save_due
    if training.state.step % accumulator.every:
        accumulator.add(training.world.sum(sums))
        return False, False
    wishes = torch.tensor(
        [float(bool(stop)), float(save_due and training.world.writes)],
        dtype=sums.dtype,
        device=sums.device,
    )
    shared = training.world.sum(torch.cat([sums, wishes]))
    accumulator.add(shared[:3])
    wants_stop, wants_save = shared[3:].tolist()
    return bool(wants_stop), bool(wants_save)


def stopped(watch: Watch) -> StoppedError:
    """Build the error for a run that a signal has stopped, with the way to go on."""
    return StoppedError(
        f"stopped by signal {watch.stop.signal_number}, everything is saved",
        signal_number=watch.stop.signal_number or 15,
        remedy=f"continue with: reslab train --resume {watch.run.path}",
    )


def _event(training: Training, watch: Watch, rate: float) -> StepEvent:
    state, recipe, clock = training.state, training.recipe, watch.clock
    step_s = clock.mean_step_s()
    left: float = state.plan.total_steps - state.step
    if watch.budget is None:  # a budget plans as many steps as the present ones would allow
        left *= cost_of_the_rest(recipe, state.plan.progress(state.step))
    per_row = training.num_train / (recipe.batch_size * recipe.rows_per_epoch)
    return StepEvent(
        step=state.step,
        total_steps=state.plan.total_steps,
        epoch=state.step * recipe.batch_size / training.num_train,
        loss=state.loss_sum / state.images,
        error_pct=100 * state.wrong / state.images,
        learning_rate=rate,
        images_per_s=recipe.batch_size / step_s if step_s else 0.0,
        remaining_s=left * (step_s + clock.row_s / per_row) if step_s else math.nan,
    )
