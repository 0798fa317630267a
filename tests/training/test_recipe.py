"""Recipes: errors that help, JSON that loses nothing, and the papers' numbers."""

from __future__ import annotations

import dataclasses
import json
import typing
from typing import Any

import pytest

from reslab.data.augment import Augment
from reslab.errors import UsageError
from reslab.training import recipe as recipes
from reslab.training.recipe import Recipe, override
from reslab.training.recipes import RECIPES, Situation, choose

SITUATION = Situation(50_000, 32, 10, depth=20)
# A value that no recipe has by default, for each field.
OTHER: dict[str, Any] = {
    "epochs": 7.3, "steps": 77, "batch_size": 48, "accumulate": 3, "optimizer": "adamw",
    "lr": 0.1 + 0.2, "head_lr": 3.0, "bias_lr": 64.0, "momentum": 0.77, "nesterov": True,
    "weight_decay": 1 / 3e4, "decay_all": True, "schedule": "plateau",
    "milestones": (0.1, 1 / 3), "gamma": 0.3,
    "plateau_patience": 9, "warmup_steps": 17, "warmup_lr": 1e-3 / 3,
    "warmup_until_error_pct": 70.0, "smoothing": 0.15, "class_weights": True, "balanced": True,
    "clip": 2.5, "dropout": 0.3, "ema": 0.9, "zero_last_scale": True, "patience": 4,
    "initial_weights": "glorot", "max_filter_rms": 0.1, "monitor": "val_loss", "freeze": 2,
    "precision": "bf16", "compile": True,
    "channels_last": False, "checkpoint_activations": True, "normalisation": "pixel-mean",
    "img_size": 96, "early_size": 48, "early_share": 0.2,
    "resize": "pad", "bit_depth": 12, "val_fraction": 0.25, "track_test": True, "rows_per_epoch": 3,
}  # fmt: skip
VIEWS: dict[str, Any] = {
    "pad_crop": 3, "flip": True, "alternating_flip": True, "crop_scale": (0.3, 0.9),
    "crop_ratio": (0.7, 1.1), "rotate": 11.0, "jitter": 0.2, "pca_colour": 0.05,
    "erase": 0.4, "mixup": 0.3, "cutmix": 0.6,
}  # fmt: skip


def test_the_values_above_differ_from_every_default():
    fields = {f.name: f.default for f in dataclasses.fields(Recipe)}
    assert {*OTHER, "name", "augment"} == set(fields)
    assert all(OTHER[name] != fields[name] for name in OTHER)
    views = {f.name: f.default for f in dataclasses.fields(Augment)}
    assert set(VIEWS) == set(views)
    assert all(VIEWS[name] != views[name] for name in VIEWS)


def test_json_loses_no_bit():
    recipe = Recipe(name="x", augment=Augment(**VIEWS), **OTHER)
    again = recipes.from_json(json.loads(json.dumps(recipes.to_json(recipe))))
    assert again == recipe


@pytest.mark.parametrize("name", RECIPES.names())
def test_named_recipes_survive_json(name):
    recipe = RECIPES[name](SITUATION)
    assert recipe.name == name
    assert recipes.from_json(json.loads(json.dumps(recipes.to_json(recipe)))) == recipe


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("learing_rate", ""), ("epoch", "epochs"), ("batchsize", "batch_size"), ("mix_up", "mixup")],
)
def test_an_unknown_field_names_the_nearest(wrong, meant):
    with pytest.raises(UsageError, match=f"unknown recipe field '{wrong}'") as caught:
        override(Recipe(name="x"), {wrong: 1})
    assert caught.value.exit_code == 2
    assert caught.value.remedy == (f"did you mean '{meant}'?" if meant else "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "cosin"}, "unknown schedule 'cosin'.*did you mean 'cosine'"),
        ({"precision": "fp61"}, "unknown precision 'fp61'.*did you mean 'fp16'"),
        ({"lr": 0.0}, "lr must be more than 0 and finite, received 0.0"),
        ({"lr": -1.0}, "lr must be more than 0"),
        ({"epochs": 0.0}, "epochs must be more than 0"),
        ({"steps": -1}, "steps must be 0 or more|epochs"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"accumulate": 0}, "accumulate must be 1 or more"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\)"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"val_fraction": 1.0}, r"val_fraction must be in \[0, 1\)"),
        ({"milestones": (0.5, 1.5)}, "milestones must be fractions"),
        ({"freeze": -2}, "freeze must be -1 or more"),
        ({"patience": 3}, "patience needs something to watch.*monitor"),
        ({"erase": 1.5}, r"erase must be in \[0, 1\]"),
        ({"crop_scale": (0.9, 0.3)}, "crop_scale"),
        ({"clip": -1.0}, "clip must be 0 or more"),
        ({"max_filter_rms": -0.1}, "max_filter_rms must be 0 or more"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_can(changes, message):
    with pytest.raises(UsageError, match=message):
        override(Recipe(name="x"), changes)


def test_numbers_that_are_no_numbers_are_refused():
    for name in ("lr", "weight_decay", "clip", "epochs"):
        with pytest.raises(UsageError, match=name):
            override(Recipe(name="x"), {name: float("nan")})


def test_override_reaches_recipe_and_views_and_nothing_else():
    recipe = override(Recipe(name="x"), {"lr": 0.5, "flip": True})
    assert recipe == Recipe(name="x", lr=0.5, augment=Augment(flip=True))


def test_every_literal_field_is_checked():
    hints = typing.get_type_hints(Recipe)
    literal = [n for n, hint in hints.items() if typing.get_origin(hint) is typing.Literal]
    assert len(literal) >= 5
    for name in literal:
        with pytest.raises(UsageError, match=f"unknown {name} 'nonsense'"):
            override(Recipe(name="x"), {name: "nonsense"})


def test_he2015_cifar_is_section_4_2():
    recipe = RECIPES["he2015-cifar"](SITUATION)
    assert (recipe.steps, recipe.batch_size, recipe.lr) == (64_000, 128, 0.1)
    assert (recipe.optimizer, recipe.momentum, recipe.nesterov) == ("sgd", 0.9, False)
    assert recipe.weight_decay == 1e-4
    assert not recipe.decay_all
    assert [recipe.steps * share for share in recipe.milestones] == [32_000, 48_000]
    assert (recipe.schedule, recipe.gamma) == ("step", 0.1)
    assert recipe.augment == Augment(pad_crop=4, flip=True)
    assert recipe.normalisation == "pixel-mean"
    assert recipe.dropout == recipe.smoothing == recipe.ema == recipe.clip == 0
    assert recipe.val_fraction == 0
    assert recipe.monitor == "none"
    assert recipe.precision == "fp32"
    assert recipe.warmup_lr == recipe.warmup_until_error_pct == recipe.warmup_steps == 0
    assert recipe.steps * recipe.batch_size / 50_000 == pytest.approx(163.84)


@pytest.mark.parametrize("depth", [110, 1202])
def test_he2015_cifar_warms_up_deep_networks(depth):
    recipe = RECIPES["he2015-cifar"](dataclasses.replace(SITUATION, depth=depth))
    assert (recipe.warmup_lr, recipe.warmup_until_error_pct) == (0.01, 80.0)
    plain = dataclasses.replace(recipe, warmup_lr=0.0, warmup_until_error_pct=0.0)
    assert plain == RECIPES["he2015-cifar"](SITUATION)


def test_he2015_imagenet_is_section_3_4():
    recipe = RECIPES["he2015-imagenet"](Situation(1_281_167, 224, 1000, depth=50))
    assert (recipe.steps, recipe.batch_size, recipe.lr) == (600_000, 256, 0.1)
    assert (recipe.optimizer, recipe.momentum, recipe.nesterov) == ("sgd", 0.9, False)
    assert (recipe.weight_decay, recipe.dropout, recipe.warmup_steps) == (1e-4, 0, 0)
    assert recipe.steps * 256 / 1_281_167 == pytest.approx(120, rel=0.01)
    low, high = recipe.augment.crop_scale or (0, 0)
    assert [224 / low**0.5, 224 / high**0.5] == pytest.approx([480, 256])
    assert recipe.augment.crop_ratio == (1.0, 1.0)
    assert recipe.augment.flip
    assert recipe.augment.pca_colour == 0.1
    assert (recipe.smoothing, recipe.ema, recipe.val_fraction) == (0, 0, 0)


@pytest.mark.parametrize(
    ("situation", "name"),
    [
        (Situation(1_300, 8, 10), "small-images"),
        (Situation(50_000, 32, 10), "small-images"),
        (Situation(1_600, 64, 10), "small-images"),
        (Situation(1_281_167, 224, 1000), "he2015-imagenet"),
        (Situation(1_281_167, 224, 1000, pretrained=True), "fine-tune"),
        (Situation(200, 96, 3, pretrained=True), "fine-tune"),
    ],
)
def test_auto_chooses_by_size_number_and_start(situation, name):
    chosen, why = choose(situation)
    assert chosen == name
    assert why


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_is_valid_for_any_data(name):
    for num_train in (5, 60, 1_500, 48_000, 2_000_000):
        for img_size in (8, 32, 64, 128, 224):
            situation = Situation(num_train, img_size, 10)
            recipe = RECIPES[name](situation)
            assert recipe.epochs >= 5, situation
            assert recipe.batch_size in (16, 32, 64, 128, 256), situation
            assert recipe.monitor == "none" or recipe.val_fraction > 0, situation
