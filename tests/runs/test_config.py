"""What a run has decided, written and read again; what a resumed run may change."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from other_values import COMPANIONS, SETTINGS, other_value
from reslab import networks
from reslab.data.collect import DataOptions
from reslab.errors import UsageError
from reslab.runs.config import Config, changed_recipe, lengthened
from reslab.training.config import Choice, Request
from reslab.training.recipe import override
from reslab.training.recipes import RECIPES, Situation
from reslab.training.schedule import Adaptation, Plan
from reslab.training.state import TrainState

RECIPE = RECIPES["he2015-cifar"](Situation(50_000, 32, 10, depth=20))
# The two go together: neither can change from none alone.
PROGRESSIVE = {"progressive_size": 8, "progressive_share": 0.25}
PAIRED = dict.fromkeys(PROGRESSIVE, PROGRESSIVE)


def make_config(**request: object) -> Config:
    return Config(
        request=Request(data="photos/", **request),  # type: ignore[arg-type]
        spec=networks.entry("resnet20").spec,
        recipe=RECIPE,
        choices=(Choice("model", "resnet20", "small images"),),
        dataset={"name": "photos", "classes": ["a", "b"], "fingerprint": "0f"},
        preprocess={"img_size": 32},
        cost={"params": 1, "macs": 2},
        environment={"torch": "2"},
    )


@pytest.mark.parametrize(
    "request_fields",
    [
        {},
        {
            "model": "resnet32",
            "recipe": "small-images",
            "overrides": {"lr": 0.1 + 0.2, "flip": True},
            "out": Path("runs/x"),
            "seed": 7,
            "time_s": 1 / 3,
            "device": "cuda:1",
            "workers": 3,
            "start": Path("runs/y"),
            "stem": "small",
            "test_fraction": 0.3,
            "skip_corrupt": True,
            "save_every_s": 0.1,
            "cache": Path("cache"),
            "data_options": DataOptions(columns={"label": "breed"}, root="/photos"),
            "command": ("reslab", "train", "photos/"),
        },
    ],
)
def test_a_config_survives_json(request_fields):
    config = make_config(**request_fields)
    again = Config.from_json(json.loads(json.dumps(config.to_json())))
    assert again == config


def test_every_field_of_a_request_is_written():
    written = make_config().to_json()["request"]
    assert set(written) == {f.name for f in dataclasses.fields(Request)}


def test_a_longer_run_is_allowed():
    assert changed_recipe(RECIPE, {}) == RECIPE
    assert changed_recipe(RECIPE, {"steps": 70_000}).steps == 70_000
    by_epochs = changed_recipe(RECIPE, {"epochs": 12.5})
    assert (by_epochs.steps, by_epochs.epochs) == (0, 12.5)
    assert changed_recipe(RECIPE, {"lr": 0.1}) == RECIPE


def test_a_longer_run_is_no_longer_bound_to_its_time():
    in_time = make_config(time_s=600.0)
    assert lengthened(in_time, {}) == in_time
    longer = lengthened(in_time, {"epochs": 12.5})
    assert (longer.request.time_s, longer.recipe.epochs) == (None, 12.5)


def test_other_fields_are_refused_one_by_one():
    with pytest.raises(UsageError) as caught:
        changed_recipe(RECIPE, {"lr": 0.2, "batch_size": 64, "flip": False, "epochs": 3.0})
    text = str(caught.value)
    assert "lr 0.1 -> 0.2" in text
    assert "batch_size 128 -> 64" in text
    assert "flip True -> False" in text
    assert "pad_crop" not in text
    assert "momentum" not in text


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"epochs", "steps"}))
def test_each_field_that_decides_is_named(name):
    base = override(
        RECIPE, {"val_fraction": 0.1, **COMPANIONS.get(name, {})} | PAIRED.get(name, {})
    )
    old = getattr(base if hasattr(base, name) else base.augment, name)
    with pytest.raises(UsageError, match=rf"differ: {name} "):
        changed_recipe(base, {name: other_value(SETTINGS[name], than=old)})


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    values=st.lists(numbers, min_size=8, max_size=8),
    recent=st.lists(st.tuples(numbers, numbers), max_size=3),
    best=st.none() | numbers,
)
def test_the_state_survives_json_bit_for_bit(values, recent, best):
    state = TrainState(
        Plan(900, 17, values[0]),
        step=31,
        rows=[{"epoch": values[1], "step": 10, "val_loss": None, "lr": values[2]}],
        loss_sum=values[3],
        wrong=values[4],
        images=values[5],
        recent=recent,
        adaptation=Adaptation(values[6], float("inf"), 2, 31),
        best_value=best,
        best_step=4,
        bad_epochs=1,
        elapsed_s=values[7],
    )
    again = TrainState.from_json(json.loads(json.dumps(state.to_json())))
    assert again == state
    assert repr(again) == repr(state)  # the sign of a zero too


def test_the_recent_error_covers_a_hundred_steps():
    state = TrainState(Plan(1000))
    assert state.recent_error_pct() == 100.0
    for _ in range(150):
        state.account(1.0, 32.0, 32.0)
    assert state.recent_error_pct() == 100.0
    for _ in range(50):
        state.account(1.0, 0.0, 32.0)
    assert state.recent_error_pct() == 50.0
    assert (state.images, len(state.recent)) == (200 * 32.0, 100)


@given(
    num_train=st.integers(1, 3000),
    batch_size=st.integers(1, 300),
    total=st.integers(1, 100),
    rows=st.integers(1, 7),
)
def test_rows_come_once_an_epoch_and_at_the_end(num_train, batch_size, total, rows):
    state, steps = TrainState(Plan(total)), []
    while state.step < total:
        state.step = state.next_row_step(num_train, batch_size, rows)
        steps.append(state.step)
        state.rows.append({"step": state.step})
    assert steps == sorted(set(steps))
    assert steps[-1] == total
    # The first step at which each part of an epoch has been seen; several may end in one step.
    parts = range(1, total * batch_size * rows // num_train + 1)
    ends = {-(-part * num_train // (rows * batch_size)) for part in parts}
    assert set(steps) == {end for end in ends if end < total} | {total}
