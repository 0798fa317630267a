"""Checkpoints that were damaged, touched or superseded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from reslab import durable
from reslab.errors import CheckpointError
from reslab.runs import checkpoint
from reslab.training.schedule import Plan
from reslab.training.state import TrainState


def save(folder: Path, step: int) -> Path:
    state = TrainState(Plan(100), step=step)
    return checkpoint.save(folder, state, groups(step))


def groups(step: int) -> dict[str, dict[str, torch.Tensor]]:
    return {
        "network": {"w": torch.full((50,), step / 3), "n": torch.tensor(step)},
        "optimizer": {"w/momentum_buffer": torch.full((50,), -step / 7)},
    }


def newest(folder: Path) -> tuple[int, list[str]]:
    notes: list[str] = []
    found = checkpoint.load_newest(folder, notes.append)
    assert found is not None
    state, tensors = found
    for name, group in groups(state.step).items():
        assert all(torch.equal(tensors[name][key], value) for key, value in group.items())
    return state.step, notes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints"
    save(path, 10)
    save(path, 20)
    return path


def flip_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 0b100
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def test_the_newest_is_loaded_without_a_word(folder):
    assert newest(folder) == (20, [])


def test_nothing_saved_yet(tmp_path):
    assert checkpoint.load_newest(tmp_path / "none", print) is None
    (tmp_path / "empty").mkdir()
    assert checkpoint.load_newest(tmp_path / "empty", print) is None


@pytest.mark.parametrize("damage", [flip_bit, truncate, Path.unlink])
@pytest.mark.parametrize(
    "name", ["state.json", "network.safetensors", "optimizer.safetensors", "manifest.json"]
)
def test_a_damaged_newest_gives_way_to_the_older_and_is_named(folder, damage, name):
    damage(folder / "step-000000020" / name)
    step, notes = newest(folder)
    assert step == 10
    assert len(notes) == 1
    assert "step-000000020" in notes[0]


def test_all_damaged_is_an_error_of_checkpoints(folder):
    for path in folder.glob("step-*"):
        flip_bit(path / "network.safetensors")
    with pytest.raises(CheckpointError, match="none of the 2 checkpoints") as caught:
        newest(folder)
    assert caught.value.exit_code == 4


def test_the_order_is_that_of_steps_whatever_the_clock_said(folder):
    os.utime(folder / "step-000000010", (4e9, 4e9))
    os.utime(folder / "step-000000020", (1, 1))
    assert newest(folder) == (20, [])
    save(folder, 30)
    assert sorted(p.name for p in folder.iterdir()) == ["step-000000020", "step-000000030"]


def test_two_are_kept_and_the_best_besides(folder):
    state = TrainState(Plan(1), best_step=5, best_value=0.5)
    checkpoint.save_best(folder, state, groups(5)["network"])
    for step in (30, 40):
        save(folder, step)
    names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    assert names == ["best", "step-000000030", "step-000000040"]
    best = checkpoint.load_best(folder)
    assert all(torch.equal(best[key], value) for key, value in groups(5)["network"].items())


def test_unfinished_work_of_a_killed_process_is_passed_over(folder):
    left = folder / ".step-000000030.abcdefgh.partial"
    left.mkdir()
    (left / "state.json").write_bytes(b"{")
    assert newest(folder) == (20, [])
    durable.recover(folder)
    assert not left.exists()


def test_a_checkpoint_of_a_newer_version_is_refused(folder, monkeypatch):
    monkeypatch.setattr(checkpoint, "SCHEMA", 2)
    path = save(folder, 30)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="newer reslab"):
        checkpoint.load(path)


def test_damaged_best_weights_are_refused(folder):
    checkpoint.save_best(folder, TrainState(Plan(1)), groups(5)["network"])
    flip_bit(folder / "best" / "network.safetensors")
    with pytest.raises(CheckpointError, match="best"):
        checkpoint.load_best(folder)
