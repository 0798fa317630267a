"""Killed with -9 anywhere, a resumed run ends exactly as one that was never interrupted."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

FLAGS = [
    *("--epochs", "2", "--batch-size", "128", "--img-size", "8", "--precision", "fp32"),
    *("--dropout", "0.1", "--mixup", "0.2", "--schedule", "plateau", "--plateau-patience", "0"),
    *("--progressive-size", "6", "--progressive-share", "0.4"),
    *("--monitor", "val_loss", "--save-every", "0.05s", "--device", "cpu"),
]


def fingerprint(run: Path) -> dict[str, object]:
    """All that must be equal: weights, buffers, optimizer, averages, state, log rows."""
    newest = max((run / "checkpoints").glob("step-*"))
    state = json.loads((newest / "state.json").read_text())["state"]
    state.pop("elapsed_s")
    files = {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(run.rglob("*.safetensors"))
        if path.parent.name in ("model", "best", "evaluation") or path.parent == newest
    }
    assert any("optimizer" in name for name in files)
    assert any("ema" in name for name in files)
    model = json.loads((run / "model" / "model.json").read_text())
    return {
        **files,
        "newest": newest.name,
        "state": state,
        "rows": (run / "results.csv").read_bytes(),
        "metrics": model["metrics"],
        "temperature": model["temperature"],
    }


def assert_equal(run: Path, reference: dict[str, object]) -> None:
    found = fingerprint(run)
    assert sorted(found) == sorted(reference)
    differing = [name for name in reference if found[name] != reference[name]]
    assert not differing


@pytest.fixture(scope="module")
def reference(launcher, tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("reference")
    code = launcher.run(["train", "digits", "--out", str(folder / "run"), *FLAGS], folder / "log")
    assert code == 0, (folder / "log").read_text()
    return fingerprint(folder / "run")


def kill_until(launcher, folder: Path, kills: int, seed: int, reference: dict) -> int:
    """Start a run, kill it after random times, resume it until it ends; returns the kills."""
    run, log, chance, done = folder / "run", folder / "log", random.Random(seed), 0
    while True:
        begun = (run / "config.json").exists() and (run / "split.json").exists()
        if not begun:
            shutil.rmtree(run, ignore_errors=True)
        argv = ["--resume", str(run)] if begun else ["digits", "--out", str(run), *FLAGS]
        pid = launcher.start(["train", *argv], log)
        if done < kills:
            time.sleep(chance.uniform(0.0, 1.6))
            os.kill(pid, signal.SIGKILL)
        code = launcher.wait(pid)
        if code == 0:
            assert_equal(run, reference)
            return done
        assert code == -signal.SIGKILL, log.read_text()
        done += 1


@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_kills_anywhere_change_nothing(launcher, tmp_path, reference, kills):
    done, seed = 0, kills
    while done < kills:
        folder = tmp_path / str(seed)
        folder.mkdir()
        done += kill_until(launcher, folder, kills - done, seed, reference)
        seed += 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_two(launcher, argv: list[str], log: Path) -> list[int]:
    common = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "LOCAL_WORLD_SIZE": "2",
    }
    return [
        launcher.start(argv, log, {**common, "RANK": str(r), "LOCAL_RANK": str(r)}) for r in (0, 1)
    ]


def test_two_processes_killed_and_resumed(launcher, tmp_path):
    log, flags = tmp_path / "log", [*FLAGS, "--epochs", "1.5"]
    whole = start_two(launcher, ["train", "digits", "--out", str(tmp_path / "a"), *flags], log)
    assert [launcher.wait(pid) for pid in whole] == [0, 0], log.read_text()

    run = tmp_path / "b"
    both = start_two(launcher, ["train", "digits", "--out", str(run), *flags], log)
    deadline = time.monotonic() + 60
    while not list((run / "checkpoints").glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(both[1], signal.SIGKILL)
    assert launcher.wait(both[1]) == -signal.SIGKILL
    began = time.monotonic()
    assert launcher.wait(both[0]) == 5
    assert time.monotonic() - began < 60
    assert "lost contact" in log.read_text()

    again = start_two(launcher, ["train", "--resume", str(run)], log)
    assert [launcher.wait(pid) for pid in again] == [0, 0], log.read_text()
    assert_equal(run, fingerprint(tmp_path / "a"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_and_the_run_goes_on_exactly(launcher, tmp_path, reference, number, code):
    run, log = tmp_path / "run", tmp_path / "log"
    pid = launcher.start(["train", "digits", "--out", str(run), *FLAGS], log)
    deadline = time.monotonic() + 60
    while not list((run / "checkpoints").glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(pid, number)
    assert launcher.wait(pid) == code, log.read_text()
    assert json.loads((run / "status.json").read_text())["state"] == "interrupted"
    assert "--resume" in log.read_text()
    assert launcher.run(["train", "--resume", str(run)], log) == 0, log.read_text()
    assert_equal(run, reference)
