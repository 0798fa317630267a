"""`reslab plan`: what it refuses and prints, and that its proposal is a command that trains."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from reslab.cli import train
from reslab.cli.main import build_parser, main
from reslab.plan import remember
from reslab.plan.settings import Wishes, settings_for
from reslab.plan.subject import Subject, imagine
from reslab.plan.task import StepCost
from reslab.training.config import Request

COST = StepCost(
    batch_size=64,
    step_s=0.1,
    early_step_s=0.06,
    spread=0.02,
    others=0.01,
    eval_image_s=0.001,
    save_s=0.2,
    cold_s=5.0,
    peak_mib=800.0,
)
IMAGINED = ["--images", "10000", "--classes", "10", "--img-size", "32", "--batch-size", "64"]
IMAGINED += ["--precision", "fp32", "--device", "cpu"]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path))


def keep(model: str, wishes: Wishes, step_s: float = 0.1) -> Subject:
    """Keep a cost that grows with the batch for all that is looked at."""
    overrides = {"img_size": 32, "batch_size": 64, "precision": "fp32"}
    request = Request(data="", model=model, overrides=overrides, device="cpu")
    subject = imagine(request, num_images=10_000, num_classes=10)
    for setting in (setting for group in settings_for(subject, wishes) for setting in group):
        task = dataclasses.replace(
            subject.with_changes(setting.changes).task(), threads=setting.threads
        )
        size = task.recipe.batch_size
        full_s = 0.05 + step_s * size / 64
        cost = dataclasses.replace(COST, batch_size=size, step_s=full_s, early_step_s=0.6 * full_s)
        remember.keep(remember.key_of(task), cost)
    return subject


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "no data given"),
        (["nosuchdata"], 2, "unknown data set 'nosuchdata'"),
        (["digits", "--model", "resnet21"], 2, "did you mean"),
        (["digits", "--resume", "runs/a"], 2, "plan looks at new runs"),
        (["digits", "--models", "resnet20"], 2, "add --time"),
        (["digits", "--images", "100"], 2, "data that are not there yet"),
        (["digits", "--precisions", "fp64"], 2, "unknown precision 'fp64'"),
        (["digits", "--time", "9m", "--thorough"], 2, "one after the other"),
        (["--images", "1000"], 2, "the network must be named"),
        (["--images", "10", "--model", "resnet20"], 2, "too few"),
        (["digits", "--batch-sizes", "0"], 2, "no list of sizes"),
        (["digits", "--memory", "much"], 2, "no size of a memory"),
        (["digits", "--time", "0s"], 2, "no duration"),
        (
            ["--images", "100", "--classes", "2", "--model", "resnet50", "--img-size", "4"],
            2,
            "size",
        ),
    ],
)
def test_nonsense_is_refused_in_one_line(words, code, said, capsys):
    assert main(["plan", *words]) == code
    out, err = capsys.readouterr()
    assert not out
    assert said in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("reslab: ")


def test_an_impossible_time_is_refused_with_what_it_would_take(capsys):
    keep("resnet20", Wishes())
    assert main(["plan", *IMAGINED, "--model", "resnet20", "--time", "8s"]) == 2
    assert "8 s are too short: resnet20 alone takes about" in capsys.readouterr().err


def test_the_table_is_on_stdout_and_the_command_on_stderr(capsys):
    keep("resnet20", Wishes())
    assert main(["plan", *IMAGINED, "--model", "resnet20", "--memory", "4G"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert " ".join(lines[0].split()) == "precision batch size images/s epoch in all memory"
    assert [line.split()[1] for line in lines[2:]] == ["64", "32", "128"]
    assert lines[2].rstrip().endswith("<- proposed")
    assert "427" in lines[2], "64 images in 0.15 s"
    assert "4,096 MiB for a run" in err
    assert err.splitlines()[-1].strip().startswith("reslab train DATA --model resnet20")


def test_the_proposed_command_trains_as_the_row_says(capsys):
    words = [*IMAGINED, "--model", "resnet20", "--batch-sizes", "64,128", "--no-flip"]
    words += ["--crop-scale", "0.5,1", "--save-every", "90s", "--seed", "3", "--json"]
    subject = keep_with_views()
    assert subject.request.overrides["flip"] is False
    assert main(["plan", *words]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["proposed"]["batch_size"] == 128
    assert value["proposed"] in value["rows"]
    assert value["proposed"]["prediction"]["images_per_s"] == pytest.approx(128 / 0.25)
    reslab, verb, *rest = shlex.split(value["command"])
    assert (reslab, verb) == ("reslab", "train")
    request = train.request_of(build_parser("train").parse_args(rest))
    assert request.overrides == {
        "img_size": 32,
        "batch_size": 128,
        "precision": "fp32",
        "flip": False,
        "crop_scale": (0.5, 1.0),
    }
    assert (request.model, request.seed, request.save_every_s) == ("resnet20", 3, 90.0)


def keep_with_views() -> Subject:
    overrides = {"img_size": 32, "precision": "fp32", "flip": False, "crop_scale": (0.5, 1.0)}
    request = Request(data="", model="resnet20", overrides=overrides, device="cpu")
    subject = imagine(request, num_images=10_000, num_classes=10)
    for batch_size, step_s in ((64, 0.15), (128, 0.25)):
        cost = dataclasses.replace(COST, batch_size=batch_size, step_s=step_s)
        task = subject.with_changes({"batch_size": batch_size}).task()
        remember.keep(remember.key_of(task), cost)
    return subject


def test_a_time_chooses_among_networks(capsys):
    for model, step_s in (("resnet20", 0.1), ("resnet32", 0.2), ("resnet44", 3.0)):
        keep(model, Wishes(), step_s)
    names = "resnet44,resnet20,resnet32"
    words = [*IMAGINED, "--time", "30m", "--models", names]
    assert main(["plan", *words, "--json", "--quiet", "--model", "resnet20"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [row["network"] for row in value["networks"]] == ["resnet20", "resnet32", "resnet44"]
    assert value["proposed"] == "resnet32"
    assert "--model resnet32" in value["command"]
    assert "--time 1800" in value["command"]
    epochs = [row["epochs_in_time"] for row in value["networks"]]
    assert epochs == sorted(epochs, reverse=True)
    assert main(["plan", *words, "--model", "resnet20"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[2:]] == [
        "resnet20",
        "resnet32",
        "resnet44",
    ]
    assert "the largest that sees the images" in err
