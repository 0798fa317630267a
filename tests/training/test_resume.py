"""Going on with a run: what may change, what may not, and what stays exactly as it was."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from running import FAST, Finished


def model_files(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for name in ("evaluation", "checkpoints")
        for path in sorted((run / name).rglob("*.safetensors"))
    }


def test_a_longer_run_goes_on_and_says_by_which_policy(copied_run, resume, digits_run):
    longer = resume(copied_run, "--epochs", "3").succeeded()
    assert "as if it had been planned so from the start" in " ".join(longer.err.split())
    assert "resumed at step" in longer.err
    before, after = digits_run.rows(), longer.rows()
    assert len(before) == 2
    assert after[:2] == before
    assert len(after) > 2
    assert float(after[-1]["epoch"]) == pytest.approx(3, abs=0.1)
    assert longer.read("config.json")["recipe"]["epochs"] == 3
    assert longer.read("status.json")["state"] == "finished"


def test_a_run_that_is_killed_once_it_is_longer_stays_longer(launcher, copied_run, resume):
    def epochs() -> float:
        config = json.loads((copied_run / "config.json").read_text())
        return float(config["recipe"]["epochs"])

    words = ["train", "--resume", str(copied_run), "--epochs", "6"]
    pid = launcher.start(words, copied_run.parent / "log")
    deadline = time.monotonic() + 120
    while epochs() != 6:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    launcher.wait(pid)
    assert float(resume(copied_run).succeeded().rows()[-1]["epoch"]) == pytest.approx(6, abs=0.1)


def test_a_finished_run_resumed_again_changes_nothing(copied_run, resume, digits_run):
    again = resume(copied_run).succeeded()
    assert again.rows() == digits_run.rows()
    assert (
        again.read("model/model.json")["metrics"] == digits_run.read("model/model.json")["metrics"]
    )
    assert model_files(copied_run) == model_files(digits_run.path)


def test_another_recipe_is_refused_field_by_field(copied_run, resume, digits_run):
    refused = resume(copied_run, "--lr", "0.5", "--flip", "--momentum", "0.8")
    lr = digits_run.read("config.json")["recipe"]["lr"]
    refused.refused(2, f"lr {lr} -> 0.5", "flip False -> True", "momentum 0.9 -> 0.8")
    assert "pad_crop" not in refused.err
    assert refused.read("config.json") == digits_run.read("config.json")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--seed", "1"),
        ("--model", "resnet32"),
        ("--recipe", "he2015-cifar"),
        ("--out", "elsewhere"),
        ("--time", "5m"),
        ("--start", "model"),
        ("--stem", "small"),
        ("--test-fraction", "0.3"),
    ],
)
def test_what_belongs_to_the_run_cannot_be_given_again(digits_run, resume, flag, value):
    resume(digits_run.path, flag, value).refused(2, flag, "start a new run")


def test_what_is_no_run_is_named(resume, tmp_path):
    resume(tmp_path / "nothing").refused(4, "nothing is no run directory", "config.json")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    resume(tmp_path / "damaged").refused(4, "config.json is damaged")


def test_damaged_checkpoints_give_way_to_older_ones(copied_run, resume, digits_run):
    checkpoints = sorted((copied_run / "checkpoints").glob("step-*"))
    assert checkpoints
    for path in checkpoints:
        file = path / "network.safetensors"
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    resume(copied_run).refused(4, "checkpoints in", "is readable")


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def test_two_commands_at_once_on_one_run(launcher, resume, tmp_path):
    run = tmp_path / "run"
    words = ["train", "digits", "--out", str(run), *FAST, "--epochs", "500"]
    pid = launcher.start(words, tmp_path / "log")
    try:
        wait_for(run / "status.json")
        resume(run).refused(5, f"in use by process {pid}")
        assert json.loads((run / "status.json").read_text())["state"] == "running"
    finally:
        os.kill(pid, signal.SIGKILL)
        launcher.wait(pid)


def test_an_early_stop_stays_stopped(train, resume):
    # Nothing but the classifier may move, and it hardly does: no epoch improves on the first.
    flags = ("--monitor", "val_loss", "--patience", "1", "--epochs", "20", "--ema", "0")
    stopped: Finished = train("digits", *flags, "--freeze", "-1", "--lr", "1e-30").succeeded()
    assert "no improvement for 1 epochs" in stopped.err
    assert len(stopped.rows()) == 2
    again = resume(stopped.path).succeeded()
    assert again.rows() == stopped.rows()
    assert "checkpoints/best/network.safetensors" in model_files(stopped.path)
