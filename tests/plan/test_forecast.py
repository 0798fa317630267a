"""A predicted run against one that is walked through step by step, with training's own rules."""

from __future__ import annotations

import dataclasses
import math

import pytest

from reslab.plan import batches
from reslab.plan.batches import _measured_batches
from reslab.plan.forecast import FINISH_S, epochs_in, forecast
from reslab.plan.subject import ImagesCost, Subject, imagine, resolve
from reslab.plan.task import StepCost
from reslab.training.budget import Budget, Clock
from reslab.training.config import Request
from reslab.training.progressive import training_size
from reslab.training.schedule import Plan
from reslab.training.state import TrainState

COST = StepCost(
    batch_size=64,
    step_s=0.2,
    early_step_s=0.12,
    spread=0.02,
    others=0.01,
    eval_image_s=0.001,
    save_s=0.3,
    cold_s=5.0,
    peak_mib=900.0,
)
NOTHING = ImagesCost(0.0, 0.0, 0.0)


def subject_of(**changes: object) -> Subject:
    overrides = {
        "img_size": 32,
        "batch_size": 64,
        "progressive_size": 24,
        "progressive_share": 0.5,
        **changes,
    }
    request = Request(data="", model="resnet20", overrides=overrides, save_every_s=1e9)
    return imagine(request, num_images=1000, num_classes=10)


def walk(subject: Subject, cost: StepCost) -> float:
    """Add up a run as the loop goes through it."""
    recipe, num_train = subject.chosen.recipe, subject.count("train")
    total = recipe.steps or round(recipe.epochs * num_train / recipe.batch_size)
    state, spent = TrainState(Plan(total)), 0.0
    copies = 2 if recipe.ema else 1
    while state.step < total:
        size = training_size(recipe, state.plan.progress(state.step))
        spent += cost.step_s if size == recipe.img_size else cost.early_step_s
        end = state.next_row_step(num_train, recipe.batch_size)
        state.step += 1
        if state.step >= end:
            spent += copies * subject.count("val") * cost.eval_image_s
            state.rows.append({"step": state.step})
    return spent


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 6.0},
        {"epochs": 6.0, "ema": 0.0},
        {"epochs": 3.5, "progressive_size": 0, "progressive_share": 0.0},
        {"steps": 77},
    ],
)
def test_the_time_is_that_of_a_run_walked_through(changes):
    subject = subject_of(**changes)
    predicted = forecast(subject, COST, NOTHING)
    inner_s = predicted.epoch_s * predicted.epochs
    assert inner_s == pytest.approx(walk(subject, COST), rel=0.02)
    copies = 2 if subject.chosen.recipe.ema else 1
    held_out = subject.count("val") + subject.count("test")
    outer_s = COST.cold_s + copies * held_out * COST.eval_image_s + COST.save_s + FINISH_S
    assert predicted.total_s == pytest.approx(inner_s + outer_s)
    assert predicted.images_per_s == pytest.approx(64 / 0.2)


def test_images_add_their_decoding_and_their_memory():
    subject = subject_of(epochs=6.0)
    plain = forecast(subject, COST, NOTHING)
    stored = forecast(subject, COST, ImagesCost(123.0, 40.0, 0.0))
    assert stored.total_s == pytest.approx(plain.total_s + 40.0)
    assert stored.peak_mib == pytest.approx(900.0 + 123.0)
    streamed = forecast(subject, COST, ImagesCost(0.0, 0.0, 0.001))
    visits = round(6 * subject.count("train") / 64) * 64
    assert streamed.total_s - plain.total_s == pytest.approx(visits * 0.001)


class FakeClock(Clock):
    """A clock that tells the time it is given."""

    now_s = 0.0

    def elapsed_s(self) -> float:
        return self.now_s


def walk_in_time(subject: Subject, cost: StepCost, time_s: float) -> float:
    """Let training's own budget plan a run whose steps take what was measured; its epochs."""
    recipe, num_train = subject.chosen.recipe, subject.count("train")
    clock = FakeClock(0.0, 0.0)
    clock.now_s = cost.cold_s
    copies = 2 if recipe.ema else 1
    row_s = copies * subject.count("val") * cost.eval_image_s
    budget = Budget(
        total_s=time_s,
        steps_per_row=num_train / recipe.batch_size,
        most_steps=10_000_000,
        batch_size=recipe.batch_size,
        row_images=copies * subject.count("val"),
        final_images=copies * (subject.count("val") + subject.count("test")),
        final_s=FINISH_S + cost.save_s,
    )
    state = TrainState(Plan(budget.most_steps))
    while state.step < state.plan.total_steps:
        size = training_size(recipe, state.plan.progress(state.step))
        took = cost.step_s if size == recipe.img_size else cost.early_step_s
        end = state.next_row_step(num_train, recipe.batch_size)
        state.step += 1
        clock.step_s.append(took)
        clock.now_s += took
        row = state.step >= end
        if row:
            clock.row_s = row_s
            clock.now_s += row_s
            state.rows.append({"step": state.step})
        if row or budget.due(state.step):
            total = budget.total_steps(state.step, clock)
            state.plan = state.plan.replan(state.step, total)
    return state.step * recipe.batch_size / num_train


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("time_s", [60.0, 300.0])
def test_the_epochs_in_a_time_are_those_that_the_budget_makes(share, time_s):
    subject = subject_of(progressive_share=share, progressive_size=24 if share else 0)
    walked = walk_in_time(subject, COST, time_s)
    assert epochs_in(time_s, subject, COST, NOTHING) == pytest.approx(walked, rel=0.06)


def test_no_time_gives_no_epochs():
    assert epochs_in(COST.cold_s, subject_of(), COST, NOTHING) == 0


def test_another_batch_lies_on_the_line_through_two():
    double = dataclasses.replace(COST, batch_size=128, step_s=0.36, peak_mib=1500.0)
    four = COST.at_batch(256, double)
    assert four.reckoned
    assert four.step_s == pytest.approx(0.2 + 3 * 0.16)
    assert four.peak_mib == pytest.approx(900 + 3 * 600)
    assert COST.at_batch(96, double).step_s == pytest.approx(0.28)


def test_noise_never_makes_a_larger_batch_free():
    noisy = dataclasses.replace(COST, batch_size=128, step_s=0.1, peak_mib=800.0)
    eight = COST.at_batch(512, noisy)
    assert eight.step_s > COST.step_s
    assert eight.peak_mib > 0


def test_a_batch_that_takes_too_long_is_reckoned_from_two_smaller_ones():
    request = Request(data="", model="resnet18", overrides={"img_size": 224})
    large = imagine(request, num_images=10_000, num_classes=20)
    low, high = _measured_batches(large, [100_000])
    assert 1 <= low < high < 100_000
    assert _measured_batches(large, [2]) == [2]
    assert _measured_batches(subject_of(), [64, 32, 128]) == [32, 64]
    assert _measured_batches(subject_of(), [64, 128]) == [64, 128]


@pytest.mark.parametrize(
    ("wanted", "measured"),
    [
        ([1], [1]),
        ([2], [2]),
        ([2, 2], [2]),
        ([1, 2], [1, 2]),
        ([2, 1, 4], [1, 2]),
        ([1, 8, 16], [1, 2]),
        ([1, 8], [1, 2]),
        ([3], [1, 2]),
        ([64, 128], [1, 2]),
    ],
)
def test_where_two_images_are_most_one_and_two_are_measured(wanted, measured, monkeypatch):
    monkeypatch.setattr(batches, "_largest_batch", lambda subject: 2)
    assert _measured_batches(subject_of(), wanted) == measured


def test_imagined_images_are_split_and_trained_as_real_ones():
    real = resolve(Request(data="shapes:num=600,size=16", model="resnet20"))
    request = Request(data="", model="resnet20", overrides={"img_size": 16})
    classes = len(real.dataset.classes)
    there = imagine(request, num_images=len(real.dataset.labels), num_classes=classes)
    assert there.chosen.recipe == real.chosen.recipe
    for split in ("train", "val", "test"):
        assert math.isclose(there.count(split), real.count(split), abs_tol=classes)
