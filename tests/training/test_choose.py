"""What "auto" stands for on data of different kinds, and that users' own words are kept."""

from __future__ import annotations

import numpy as np
import pytest

from reslab.data.dataset import ArrayImages, Dataset
from reslab.errors import UsageError
from reslab.training.choose import Chosen, choose, look_at
from reslab.training.config import Request
from reslab.training.recipes import RECIPES


def dataset(side: int, channels: int, count: int = 60, classes: int = 3, wide: int = 0) -> Dataset:
    shape = (count, side, wide or side) if channels == 1 else (count, side, wide or side, channels)
    pixels = np.random.default_rng(side).integers(0, 256, shape, dtype=np.uint8)
    return Dataset(
        name="drawn",
        classes=tuple("abcdefgh"[:classes]),
        images=ArrayImages(pixels),
        labels=np.arange(count) % classes,
        splits={"train": np.arange(count)},
    )


def decide(data: Dataset, **request: object) -> Chosen:
    chosen = choose(Request(data="drawn", **request), data, None)  # type: ignore[arg-type]
    assert all(choice.what and choice.chosen and choice.why for choice in chosen.choices)
    return chosen


@pytest.mark.parametrize(
    ("data", "img_size", "in_chans", "model", "optimizer"),
    [
        (dataset(8, 1), 8, 1, "resnet20", "sgd"),
        (dataset(28, 1), 28, 1, "resnet20", "sgd"),
        (dataset(32, 3), 32, 3, "resnet20", "sgd"),
        (dataset(100, 3), 64, 3, "resnet18_half", "adamw"),
        (dataset(100, 3, wide=140), 64, 3, "resnet18_half", "adamw"),
        (dataset(300, 3, count=12), 128, 3, "resnet18", "adamw"),
    ],
)
def test_auto_fits_the_images(data, img_size, in_chans, model, optimizer):
    chosen = decide(data)
    assert chosen.spec.name == model
    assert (chosen.spec.img_size, chosen.spec.in_chans, chosen.spec.num_classes) == (
        img_size,
        in_chans,
        3,
    )
    assert chosen.recipe.img_size == img_size
    assert chosen.recipe.optimizer == optimizer
    named = {choice.what: choice.chosen for choice in chosen.choices}
    assert set(named) == {"img-size", "model", "recipe", "length"}
    assert named["img-size"] == str(img_size)
    assert named["model"] == model
    assert named["recipe"] == chosen.recipe.name


@pytest.mark.parametrize(
    ("side", "count", "model", "early"),
    [
        (32, 5_000, "resnet20", (24, 0.5)),
        (28, 5_000, "resnet20", (21, 0.5)),
        (16, 5_000, "resnet20", (0, 0.0)),
        (32, 500, "resnet20", (0, 0.0)),
        (32, 5_000, "googlenet", (0, 0.0)),  # takes 31 px and more
    ],
)
def test_a_run_begins_with_smaller_images_where_that_pays(side, count, model, early):
    recipe = decide(dataset(side, 1, count=count), model=model).recipe
    assert (recipe.progressive_size, recipe.progressive_share) == early


def test_the_users_words_are_kept_and_not_called_choices():
    chosen = decide(
        dataset(100, 3),
        model="resnet34",
        recipe="he2015-cifar",
        overrides={"img_size": 96, "lr": 0.07, "epochs": 3.0},
    )
    assert (chosen.spec.name, chosen.spec.img_size) == ("resnet34", 96)
    assert (chosen.recipe.name, chosen.recipe.lr, chosen.recipe.img_size) == (
        "he2015-cifar",
        0.07,
        96,
    )
    # The recipe counts steps; epochs that the user names come before them.
    assert (chosen.recipe.epochs, chosen.recipe.steps) == (3.0, 0)
    assert [(choice.what, choice.chosen) for choice in chosen.choices] == [("length", "3 epochs")]


def test_steps_the_user_names_stay():
    chosen = decide(dataset(8, 1), overrides={"steps": 77})
    assert chosen.recipe.steps == 77
    assert chosen.choices[-1].chosen == "77 steps"


def test_a_time_budget_sets_the_length():
    chosen = decide(dataset(32, 3), recipe="he2015-cifar", time_s=600.0)
    assert chosen.recipe.steps == 0
    assert "600 s" in chosen.choices[-1].chosen
    assert "200 epochs" in chosen.choices[-1].chosen


def test_the_stem_can_be_named():
    small = decide(dataset(100, 3), model="resnet18", stem="small").spec
    assert small.stem.max_pool is False  # type: ignore[attr-defined]
    assert small != decide(dataset(100, 3), model="resnet18").spec


def test_dropout_reaches_the_network():
    assert decide(dataset(8, 1), overrides={"dropout": 0.25}).spec.dropout == 0.25


def test_deep_networks_get_the_papers_warm_up():
    deep = decide(dataset(32, 3), model="resnet110", recipe="he2015-cifar").recipe
    assert (deep.warmup_lr, deep.warmup_until_error_pct) == (0.01, 80.0)
    shallow = decide(dataset(32, 3), model="resnet56", recipe="he2015-cifar").recipe
    assert shallow.warmup_lr == 0.0


def test_a_start_brings_its_network_and_fine_tuning():
    start = decide(dataset(32, 3, classes=5)).spec
    chosen = choose(Request(data="drawn"), dataset(32, 3), start)
    assert chosen.recipe.name == "fine-tune"
    assert (chosen.spec.name, chosen.spec.num_classes) == (start.name, 3)


def test_unknown_names_are_explained():
    with pytest.raises(UsageError, match="did you mean 'resnet20'"):
        decide(dataset(8, 1), model="resent20")
    with pytest.raises(UsageError, match="did you mean 'fine-tune'"):
        decide(dataset(8, 1), recipe="fine-tuned")
    assert "fine-tune" in RECIPES


def test_the_look_is_at_training_images_alone():
    pixels, labels = np.zeros((10, 16, 24, 3), np.uint8), np.zeros(10, np.int64)
    data = Dataset("x", ("a",), ArrayImages(pixels), labels, {"train": np.arange(4)})
    look = look_at(data)
    assert (look.width, look.height, look.side) == (24, 16, 16)
    assert not look.grey
    assert look.one_size
