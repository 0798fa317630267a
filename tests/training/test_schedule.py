"""The learning rate against published points, numpy formulas and properties."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reslab.training.recipe import Recipe
from reslab.training.recipes import RECIPES, Situation
from reslab.training.schedule import Adaptation, Plan, learning_rate


def rates(recipe: Recipe, total: int) -> np.ndarray:
    plan, fresh = Plan(total), Adaptation()
    return np.array([learning_rate(recipe, step, plan, fresh) for step in range(total)])


def he2015(depth: int) -> Recipe:
    return RECIPES["he2015-cifar"](Situation(50_000, 32, 10, depth=depth))


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.1), (31_999, 0.1), (32_000, 0.01), (47_999, 0.01), (48_000, 0.001), (63_999, 0.001)],
)
def test_he2015_divides_at_32k_and_48k_of_64k(step, rate):
    recipe = he2015(20)
    assert learning_rate(recipe, step, Plan(recipe.steps), Adaptation()) == pytest.approx(rate)


def test_he2015_warms_up_a_network_of_110_layers_until_the_error_is_below_80():
    recipe, plan = he2015(110), Plan(64_000)
    assert learning_rate(recipe, 0, plan, Adaptation()) == 0.01
    assert learning_rate(recipe, 5_000, plan, Adaptation()) == 0.01
    assert learning_rate(recipe, 400, plan, Adaptation(warm_end=400)) == pytest.approx(0.1)
    assert learning_rate(recipe, 32_000, plan, Adaptation(warm_end=400)) == pytest.approx(0.01)


def test_constant_stays():
    assert set(rates(Recipe(name="x", schedule="constant", lr=0.3), 50)) == {0.3}


def test_cosine_is_half_a_cosine():
    found = rates(Recipe(name="x", schedule="cosine", lr=0.2), 40)
    assert found == pytest.approx(0.1 * (1 + np.cos(np.pi * np.arange(40) / 40)))


def test_one_cycle_rises_for_a_quarter_and_falls_to_almost_nothing():
    lr, total = 0.4, 200
    found = rates(Recipe(name="x", schedule="one-cycle", lr=lr), total)
    share = np.arange(total) / total
    rise = lr / 25 + (lr - lr / 25) * (1 - np.cos(np.pi * share / 0.25)) / 2
    fall = lr * 1e-4 + (lr - lr * 1e-4) * (1 + np.cos(np.pi * (share - 0.25) / 0.75)) / 2
    assert found == pytest.approx(np.where(share < 0.25, rise, fall))
    assert found[0] == pytest.approx(lr / 25)
    assert found.argmax() == 50
    assert found.max() == pytest.approx(lr)


def test_a_linear_warm_up_rises_to_the_schedule_and_leaves_it_alone():
    recipe = Recipe(name="x", schedule="cosine", lr=0.2, warmup_steps=5)
    plain = dataclasses.replace(recipe, warmup_steps=0)
    found, whole = rates(recipe, 20), rates(plain, 20)
    assert found[:5] == pytest.approx(whole[:5] * np.array([1, 2, 3, 4, 5]) / 5)
    assert (found[5:] == whole[5:]).all()


def test_a_constant_warm_up_of_fixed_length():
    recipe = Recipe(name="x", schedule="constant", lr=0.1, warmup_steps=3, warmup_lr=0.01)
    assert rates(recipe, 5).tolist() == [0.01, 0.01, 0.01, 0.1, 0.1]


def test_plateau_drops_after_more_bad_epochs_than_patience():
    recipe = Recipe(name="x", schedule="plateau", lr=1.0, gamma=0.5, plateau_patience=1)
    adaptation, found = Adaptation(), []
    for loss in (1.0, 0.9, 0.95, 0.91, 0.92, 0.93, 0.5, 0.6, 0.6):
        adaptation.observe_loss(loss, recipe)
        found.append(learning_rate(recipe, 3, Plan(100), adaptation))
    assert found == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_an_equal_loss_is_no_improvement():
    recipe = Recipe(name="x", schedule="plateau", gamma=0.1, plateau_patience=0)
    adaptation = Adaptation()
    adaptation.observe_loss(1.0, recipe)
    adaptation.observe_loss(1.0, recipe)
    assert adaptation.plateau_factor == pytest.approx(0.1)


@given(
    total=st.integers(2, 500),
    share=st.floats(0, 1),
    longer=st.integers(1, 500),
    schedule=st.sampled_from(["cosine", "one-cycle", "constant"]),
)
def test_planning_again_keeps_the_rate_and_ends_at_the_new_total(total, share, longer, schedule):
    step = int(share * (total - 1))
    old = Plan(total)
    new = old.replan(step, step + longer)
    assert new.total_steps == step + longer
    assert new.progress(step) == pytest.approx(old.progress(step))
    assert new.progress(step + longer) == 1.0
    recipe, fresh = Recipe(name="x", schedule=schedule, lr=0.1), Adaptation()
    before = learning_rate(recipe, step, old, fresh)
    assert learning_rate(recipe, step, new, fresh) == pytest.approx(before)
    ahead = [new.progress(s) for s in range(step, step + longer + 1)]
    assert ahead == sorted(ahead)


def test_planning_again_never_ends_before_now():
    assert Plan(100).replan(60, 10).total_steps == 60
    assert Plan(100).replan(60, 10).progress(60) == 1.0


@given(total=st.integers(1, 500), share=st.floats(0, 1), more=st.integers(0, 3))
def test_the_step_just_taken_has_a_rate_under_the_new_plan_too(total, share, more):
    # The row of an epoch reports the rate of its last step, after the run was planned again.
    step = int(share * (total - 1)) + 1
    new = Plan(total).replan(step, step + more)
    assert 0 <= new.progress(step - 1) <= new.progress(step) <= 1
