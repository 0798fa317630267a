"""Every flag of `reslab train` arrives where it says, from words, file and environment."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from reslab import api
from reslab.cli import train as verb
from reslab.cli.main import build_parser, main
from reslab.data.augment import Augment
from reslab.data.options import DataOptions
from reslab.training.config import Request
from reslab.training.recipe import Recipe, override

# flag -> (what is written, what the recipe holds then)
SETTINGS: dict[str, tuple[str, Any]] = {
    "--epochs": ("7.5", 7.5),
    "--steps": ("77", 77),
    "--batch-size": ("48", 48),
    "--accumulate": ("3", 3),
    "--opt": ("adamw", "adamw"),
    "--lr": ("0.3", 0.3),
    "--head-lr": ("3", 3.0),
    "--bias-lr": ("64", 64.0),
    "--momentum": ("0.77", 0.77),
    "--weight-decay": ("0.02", 0.02),
    "--sched": ("plateau", "plateau"),
    "--milestones": ("0.5,0.75", (0.5, 0.75)),
    "--gamma": ("0.3", 0.3),
    "--plateau-patience": ("9", 9),
    "--warmup-steps": ("17", 17),
    "--warmup-lr": ("0.003", 0.003),
    "--clip": ("2.5", 2.5),
    "--max-filter-rms": ("0.1", 0.1),
    "--ema": ("0.9", 0.9),
    "--smoothing": ("0.15", 0.15),
    "--initial-weights": ("glorot", "glorot"),
    "--dropout": ("0.3", 0.3),
    "--pad-crop": ("3", 3),
    "--crop-scale": ("0.3,0.9", (0.3, 0.9)),
    "--crop-ratio": ("0.7,1.1", (0.7, 1.1)),
    "--rotate": ("11", 11.0),
    "--jitter": ("0.2", 0.2),
    "--pca-colour": ("0.05", 0.05),
    "--erase": ("0.4", 0.4),
    "--mixup": ("0.3", 0.3),
    "--cutmix": ("0.6", 0.6),
    "--img-size": ("96", 96),
    "--bit-depth": ("12", 12),
    "--resize": ("pad", "pad"),
    "--normalisation": ("pixel-mean", "pixel-mean"),
    "--val": ("0.25", 0.25),
    "--rows-per-epoch": ("3", 3),
    "--monitor": ("val_loss", "val_loss"),
    "--freeze": ("-1", -1),
    "--precision": ("bf16", "bf16"),
}
ALL = {setting.flag: setting for group in verb.GROUPS.values() for setting in group}
SWITCHES = [flag for flag, setting in ALL.items() if setting.type is None]


class Reached(Exception):  # noqa: N818 - not an error: the command would start here
    pass


@pytest.fixture
def requested(monkeypatch):
    """Return a function that says what a command line asks for, without training."""
    asked: list[Request] = []

    def stop(request: Request, observer: object = None) -> None:
        asked.append(request)
        raise Reached

    monkeypatch.setattr(api, "train_request", stop)

    def ask(*words: str) -> Request:
        args = build_parser("train").parse_intermixed_args([*words, "digits"])
        with pytest.raises(Reached):
            verb.run(args)
        return asked[-1]

    return ask


def value_of(recipe: Recipe, field: str) -> Any:
    return getattr(recipe if hasattr(recipe, field) else recipe.augment, field)


def test_every_flag_is_tried_here_and_every_field_has_one():
    apart = {"--patience", "--early-size", "--early-share", "--warmup-until-error-pct"}
    assert {*SETTINGS, *SWITCHES, *apart} == set(ALL)
    fields = {f.name for f in (*dataclasses.fields(Recipe), *dataclasses.fields(Augment))}
    assert {setting.field for setting in ALL.values()} == fields - {"name", "augment"}


@pytest.mark.parametrize("flag", SETTINGS)
def test_a_flag_sets_its_field_and_no_other(requested, flag):
    text, expected = SETTINGS[flag]
    request = requested(flag, text)
    assert request.overrides == {ALL[flag].field: expected}
    default = Recipe(name="x")
    changed = override(default, request.overrides)
    assert value_of(changed, ALL[flag].field) == expected
    assert value_of(default, ALL[flag].field) != expected


@pytest.mark.parametrize("flag", SWITCHES)
def test_a_switch_goes_both_ways(requested, flag):
    field = ALL[flag].field
    assert requested(flag).overrides == {field: True}
    assert requested(flag.replace("--", "--no-")).overrides == {field: False}
    override(Recipe(name="x"), {field: True})


def test_patience_needs_a_monitor(requested):
    request = requested("--patience", "4", "--monitor", "val_accuracy")
    assert override(Recipe(name="x"), request.overrides).patience == 4


def test_a_warm_up_until_an_error_needs_a_rate(requested):
    request = requested("--warmup-until-error-pct", "70", "--warmup-lr", "0.01")
    assert override(Recipe(name="x"), request.overrides).warmup_until_error_pct == 70


def test_an_early_size_needs_a_share(requested):
    request = requested("--early-size", "24", "--early-share", "0.4")
    recipe = override(Recipe(name="x"), request.overrides)
    assert (recipe.early_size, recipe.early_share) == (24, 0.4)


@pytest.mark.parametrize("flag", SETTINGS)
def test_the_environment_sets_it_too(requested, monkeypatch, flag):
    text, expected = SETTINGS[flag]
    monkeypatch.setenv("RESLAB_" + flag.strip("-").replace("-", "_").upper(), text)
    assert requested().overrides == {ALL[flag].field: expected}


@pytest.mark.parametrize("flag", SETTINGS)
def test_a_file_sets_it_too(requested, tmp_path, flag):
    text, expected = SETTINGS[flag]
    file = tmp_path / "settings.toml"
    file.write_text(f'{flag.strip("-")} = "{text}"\n')
    assert requested("--config", str(file)).overrides == {ALL[flag].field: expected}


def test_numbers_lists_and_booleans_of_a_file(requested, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("lr = 0.25\nmilestones = [0.25, 0.5]\nflip = true\nbatch_size = 32\n")
    assert requested("--config", str(file)).overrides == {
        "lr": 0.25,
        "milestones": (0.25, 0.5),
        "flip": True,
        "batch_size": 32,
    }


@pytest.mark.parametrize(
    ("words", "field", "expected"),
    [
        (["--model", "resnet32"], "model", "resnet32"),
        (["--recipe", "fine-tune"], "recipe", "fine-tune"),
        (["--start", "runs/a"], "start", Path("runs/a")),
        (["--deepen-from", "runs/a"], "deepen_from", Path("runs/a")),
        (["--stem", "small"], "stem", "small"),
        (["--time", "1.5h"], "time_s", 5400.0),
        (["--time", "90"], "time_s", 90.0),
        (["--time", "10m"], "time_s", 600.0),
        (["--out", "x"], "out", Path("x")),
        (["--seed", "3"], "seed", 3),
        (["--device", "cpu"], "device", "cpu"),
        (["--workers", "3"], "workers", 3),
        (["--test", "0.3"], "test_fraction", 0.3),
        (["--skip-bad"], "skip_bad", True),
        (["--save-every", "2m"], "save_every_s", 120.0),
        (["--cache", "c"], "cache", Path("c")),
        (["--root", "/p"], "data_options", DataOptions(root="/p")),
        (
            ["--columns", "path=file,label=breed"],
            "data_options",
            DataOptions(columns={"path": "file", "label": "breed"}),
        ),
    ],
)
def test_the_other_flags_reach_the_request(requested, words, field, expected):
    request = requested(*words)
    assert getattr(request, field) == expected
    assert getattr(requested(), field) != expected
    assert not request.overrides


def test_every_flag_has_help_and_a_place():
    for action in build_parser("train")._actions:
        assert action.help, action.option_strings
    text = build_parser("train").format_help()
    for flag in ALL:
        assert flag in text


def test_without_data_the_remedy_is_named(capsys):
    assert main(["train"]) == 2
    assert "no data given; name a folder" in capsys.readouterr().err


def test_data_may_be_named_by_a_flag_but_not_twice(monkeypatch, capsys):
    asked = []

    def stop(request: Request, observer: object = None) -> None:
        asked.append(request.data)
        raise Reached

    monkeypatch.setattr(api, "train_request", stop)
    # RESLAB_DATA is the folder of fetched data sets: it names no data set.
    monkeypatch.setenv("RESLAB_DATA", "/somewhere")
    with pytest.raises(Reached):
        verb.run(build_parser("train").parse_intermixed_args(["--data", "photos"]))
    assert asked == ["photos"]
    assert main(["train"]) == 2
    assert "no data given" in capsys.readouterr().err
    for command in (["train"], ["plan"], ["train", "--resume", "run"]):
        assert main([*command, "digits", "--data", "photos"]) == 2
        assert "DATA and --data both name the images" in capsys.readouterr().err


def test_fewer_workers_than_none_are_refused_before_there_is_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "settings.toml"
    settings.write_text("workers = -2\n")
    assert main(["train", "digits", "--workers=-1"]) == 2
    assert "--workers: must be 0 or more, received -1" in capsys.readouterr().err
    assert main(["train", "digits", "--config", str(settings)]) == 2
    assert f"workers in {settings}: must be 0 or more, received -2" in capsys.readouterr().err
    monkeypatch.setenv("RESLAB_WORKERS", "-3")
    assert main(["train", "digits"]) == 2
    assert "RESLAB_WORKERS: must be 0 or more, received -3" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [settings]


def test_a_file_that_is_not_utf_8_is_named(tmp_path, capsys):
    settings = tmp_path / "settings.toml"
    settings.write_bytes("# für später\nepochs = 3\n".encode("latin-1"))
    assert main(["train", "digits", "--config", str(settings)]) == 2
    error = capsys.readouterr().err
    assert error == f"reslab: {settings} is not UTF-8 (byte 3); save the file as UTF-8\n"
