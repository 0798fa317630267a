"""Recipes: errors that help, JSON that loses nothing, and the papers' numbers."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path

import pytest

from other_values import SETTINGS, other_value
from reslab.data.augment import Augment
from reslab.errors import UsageError
from reslab.training import page
from reslab.training import recipe as recipes
from reslab.training.recipe import Recipe, override
from reslab.training.recipes import RECIPES, Situation, choose

SITUATION = Situation(50_000, 32, 10, depth=20)


def test_every_field_is_a_setting_with_help():
    fields = {f.name for cls in (Recipe, Augment) for f in dataclasses.fields(cls)}
    assert set(SETTINGS) == fields - {"name", "augment"}
    for setting in SETTINGS.values():
        assert setting.help, setting.name
        assert setting.metavar or setting.choices or setting.kind is bool, setting.name


def test_json_loses_no_bit():
    others = {name: other_value(setting) for name, setting in SETTINGS.items()}
    recipe = override(Recipe(name="x"), others)
    for name, setting in SETTINGS.items():
        value = getattr(recipe if hasattr(recipe, name) else recipe.augment, name)
        assert value == others[name] != setting.default
    again = recipes.from_json(json.loads(json.dumps(recipes.to_json(recipe))))
    assert again == recipe


def test_the_page_is_what_the_fields_say():
    """After a change: python -m reslab.training.page docs/recipes.md"""
    path = Path(__file__).parents[2] / "docs" / "recipes.md"
    assert page.with_tables(path.read_text("utf-8")) == path.read_text("utf-8")


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
        ({"random_erasing": 1.5}, r"random_erasing must be in \[0, 1\]"),
        ({"crop_scale": (0.9, 0.3)}, "crop_scale"),
        ({"clip_grad_norm": -1.0}, "clip_grad_norm must be 0 or more"),
        ({"max_filter_rms": -0.1}, "max_filter_rms must be 0 or more"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_can(changes, message):
    with pytest.raises(UsageError, match=message):
        override(Recipe(name="x"), changes)


def test_numbers_that_are_no_numbers_are_refused():
    for name in ("lr", "weight_decay", "clip_grad_norm", "epochs"):
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
    assert recipe.normalization == "pixel-mean"
    assert recipe.dropout == recipe.label_smoothing == recipe.ema == recipe.clip_grad_norm == 0
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
    assert recipe.augment.pca_color == 0.1
    assert (recipe.label_smoothing, recipe.ema, recipe.val_fraction) == (0, 0, 0)


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
