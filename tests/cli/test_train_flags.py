"""Every flag of `reslab train` arrives where it says, from words, file and environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from other_values import COMPANIONS, SETTINGS, as_text, other_value
from reslab import api
from reslab.cli import train as verb
from reslab.cli.main import build_parser, main
from reslab.data.collect import DataOptions
from reslab.errors import UsageError
from reslab.training.config import Request
from reslab.training.recipe import Recipe, override

SWITCHES = [name for name, setting in SETTINGS.items() if setting.kind is bool]
VALUES = [name for name in SETTINGS if name not in SWITCHES]


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


@pytest.mark.parametrize("name", VALUES)
def test_a_flag_sets_its_field_and_no_other(requested, name):
    setting = SETTINGS[name]
    value = other_value(setting)
    request = requested(setting.flag, as_text(value))
    assert request.overrides == {name: value}
    default = Recipe(name="x")
    changed = override(default, {**COMPANIONS.get(name, {}), **request.overrides})
    assert value_of(changed, name) == value
    assert value_of(default, name) == setting.default != value


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_goes_both_ways(requested, name):
    flag = SETTINGS[name].flag
    assert requested(flag).overrides == {name: True}
    assert requested(flag.replace("--", "--no-")).overrides == {name: False}
    override(Recipe(name="x"), {name: True})


@pytest.mark.parametrize("name", COMPANIONS)
def test_what_makes_no_sense_alone_is_refused(name):
    with pytest.raises(UsageError):
        override(Recipe(name="x"), {name: other_value(SETTINGS[name])})


@pytest.mark.parametrize("name", VALUES)
def test_the_environment_sets_it_too(requested, monkeypatch, name):
    value = other_value(SETTINGS[name])
    monkeypatch.setenv("RESLAB_" + name.upper(), as_text(value))
    assert requested().overrides == {name: value}


@pytest.mark.parametrize("name", VALUES)
def test_a_file_sets_it_too(requested, tmp_path, name):
    value = other_value(SETTINGS[name])
    file = tmp_path / "settings.toml"
    file.write_text(f'{name.replace("_", "-")} = "{as_text(value)}"\n')
    assert requested("--config", str(file)).overrides == {name: value}


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
        (["--test-fraction", "0.3"], "test_fraction", 0.3),
        (["--skip-corrupt"], "skip_corrupt", True),
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
    parser = build_parser("train")
    for action in parser.arguments.actions:
        assert action.help, action.option_strings
    text = parser.format_help()
    for setting in SETTINGS.values():
        assert setting.flag in text
        assert f"\n{setting.group}:\n" in text


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
