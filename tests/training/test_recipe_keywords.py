"""Recipe fields as keywords of `reslab.train` and `reslab.resume`."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest

import reslab
from reslab.data.augment import Augment
from reslab.errors import UsageError
from reslab.runs.run import Run
from reslab.training.keywords import OTHER_NAMES
from reslab.training.recipe import Recipe, RecipeFields, override

RECIPE = Recipe(name="test")


def test_the_keywords_are_the_fields_with_their_types():
    wanted = {**typing.get_type_hints(Recipe), **typing.get_type_hints(Augment)}
    del wanted["name"], wanted["augment"]
    assert typing.get_type_hints(RecipeFields) == wanted
    assert {field.name for field in dataclasses.fields(Augment)} <= set(wanted)


def test_other_libraries_names_lead_to_ours_and_hide_none():
    arguments = set(reslab.train.__kwdefaults__)
    known = set(typing.get_type_hints(RecipeFields)) | arguments
    assert set(OTHER_NAMES.values()) <= known
    assert not set(OTHER_NAMES) & known


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"learning_rate": 0.1}, "did you mean 'lr'?"),
        ({"epoch": 3}, "did you mean 'epochs'?"),
        ({"batchsize": 3}, "did you mean 'batch_size'?"),
        ({"imgsz": 64}, "did you mean 'img_size'?"),
        ({"normalizaton": "channel"}, "did you mean 'normalization'?"),
        ({"divice": "cpu"}, "did you mean 'device'?"),
        ({"arch": "resnet20"}, "did you mean 'model'?"),
        ({"workers": 2}, "reslab.api.train_request(Request(data=..., workers=...))"),
        ({"qqq": 1}, "takes no argument 'qqq'"),
        ({"lr": 0.1, "overrides": {"lr": 0.2}}, "lr is given twice: 0.1 as a keyword and 0.2"),
        ({"overrides": {"learning_rate": 0.2}}, "unknown recipe field 'learning_rate'"),
        ({"lr": "0.1"}, "lr must be a number, received '0.1'"),
        ({"epochs": True}, "epochs must be a number, received True"),
        ({"batch_size": 32.5}, "batch_size must be a whole number, received 32.5"),
        ({"flip": 1}, "flip must be True or False, received 1"),
        ({"crop_scale": 0.5}, "crop_scale must be two numbers, received 0.5"),
        ({"crop_scale": (0.1, 0.2, 0.3)}, "crop_scale must be two numbers"),
        ({"milestones": "0.5"}, "milestones must be numbers, received '0.5'"),
        ({"optimizer": "adam"}, "did you mean 'adamw'?"),
        ({"optimizer": None}, "optimizer must be one of sgd, adamw, muon, received None"),
        ({"lr": -1}, "lr must be more than 0"),
    ],
)
def test_a_wrong_keyword_is_refused_before_anything_is_written(
    keywords, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        reslab.train("digits", device="cpu", **keywords)
    assert said in str(error.value)
    assert not any(tmp_path.iterdir())


def test_values_become_what_the_fields_hold():
    found = override(
        RECIPE,
        {
            "milestones": [0.5, np.float64(0.75)],
            "crop_scale": [0.25, 1],
            "batch_size": np.int64(32),
            "lr": np.float32(0.5),
            "dropout": None,
            "epochs": 3,
        },
    )
    assert (found.milestones, found.augment.crop_scale) == ((0.5, 0.75), (0.25, 1))
    assert (found.batch_size, found.lr, found.dropout, found.epochs) == (32, 0.5, None, 3)
    assert type(found.batch_size) is int
    assert type(found.milestones[1]) is float


def test_keywords_train_and_resume_as_overrides_do(tmp_path):
    same = {"model": "resnet20", "device": "cpu", "seed": 3}
    numbers = {"steps": 2, "lr": 0.02, "batch_size": 64, "flip": False}
    one = reslab.train("digits", out=tmp_path / "a", **numbers, **same)
    two = reslab.train("digits", out=tmp_path / "b", overrides=numbers, **same)
    assert np.array_equal(one.test.logits, two.test.logits)
    recipe = Run.open(tmp_path / "a").config["recipe"]
    assert (recipe["steps"], recipe["lr"], recipe["batch_size"]) == (2, 0.02, 64)
    with pytest.raises(UsageError, match="did you mean 'steps'"):
        reslab.resume(tmp_path / "a", step=3)
    longer = reslab.resume(tmp_path / "a", steps=3)
    assert longer.run_dir == tmp_path / "a"
    config = Run.open(tmp_path / "a").config
    assert config["recipe"]["steps"] == 3


@pytest.mark.slow
def test_a_type_checker_sees_the_keywords(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import reslab\n"
        'reslab.train("photos", epochs=5, lr=0.1, flip=True)\n'
        'reslab.train("photos", lr="fast")\n'
        'reslab.train("photos", learning_rate=0.1)\n'
    )
    words = [sys.executable, "-m", "mypy", str(script), "--follow-imports", "silent"]
    found = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    lines = found.stdout.splitlines()
    assert len([line for line in lines if ": error:" in line]) == 2, found.stdout + found.stderr
    assert 'script.py:3: error: Argument "lr"' in found.stdout
    assert 'script.py:4: error: Unexpected keyword argument "learning_rate"' in found.stdout
