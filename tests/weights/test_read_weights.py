"""Reading other programs' files: wrappers and prefixes taken off, and nothing in them run."""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from reslab.errors import CheckpointError, MachineError, UsageError
from reslab.weights import read

STATE = {"conv.weight": torch.arange(4.0), "fc.weight": torch.ones(2, 3)}


def saved(path: Path, value: Any, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


def assert_state(path: Path, key: str | None = None) -> tuple[str, ...]:
    found = read(path, key)
    assert list(found.tensors) == list(STATE)
    assert all(torch.equal(found.tensors[name], STATE[name]) for name in STATE)
    return found.notes


def test_safetensors(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors")
    assert assert_state(tmp_path / "w.safetensors") == ()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".tar", ".PTH"])
@pytest.mark.parametrize("new_format", [True, False])
def test_torch_files_of_both_formats(tmp_path, suffix, new_format):
    path = tmp_path / f"w{suffix}"
    saved(path, STATE, _use_new_zipfile_serialization=new_format)
    assert assert_state(path) == ()


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "net", "anything"])
def test_training_checkpoints(tmp_path, wrapper):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=1.0)
    checkpoint = {
        "epoch": 7,
        "best_prec1": 91.5,
        "best_tensor": torch.tensor(91.5),
        "optimizer": optimizer.state_dict(),
        "args": argparse.Namespace(lr=0.1, arch="resnet18"),
        wrapper: collections.OrderedDict(STATE),
    }
    assert assert_state(saved(tmp_path / "checkpoint.pth.tar", checkpoint)) == ()


def test_the_raw_weights_are_taken_and_the_average_is_named(tmp_path):
    other = {name: value + 1 for name, value in STATE.items()}
    path = saved(tmp_path / "w.pth", {"state_dict": STATE, "state_dict_ema": other})
    assert "it has 'state_dict_ema' too" in assert_state(path)[0]
    ema = read(path, "state_dict_ema").tensors
    assert torch.equal(ema["fc.weight"], STATE["fc.weight"] + 1)
    with pytest.raises(UsageError, match="did you mean 'state_dict'"):
        read(path, "statedict")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.module."])
def test_prefixes_of_wrapping_modules(tmp_path, prefix):
    wrapped = {prefix + name: value for name, value in STATE.items()}
    notes = assert_state(saved(tmp_path / "w.pth", wrapped))
    assert len(notes) == prefix.count(".")


def test_names_that_only_begin_like_a_prefix_stay(tmp_path):
    state = {"module.a.weight": torch.ones(1), "b.weight": torch.ones(1)}
    assert list(read(saved(tmp_path / "w.pth", state)).tensors) == list(state)


def test_a_config_beside(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18"}))
    assert read(saved(tmp_path / "w.pth", STATE)).config == {"architecture": "resnet18"}
    (tmp_path / "config.json").write_text("{")
    assert read(tmp_path / "w.pth").config == {}


class Evil:
    """What pickle would call when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("new_format", [True, False])
def test_a_malicious_file_is_never_run(tmp_path, new_format):
    trap = tmp_path / "trap"
    path = tmp_path / "w.pth"
    saved(path, {"state_dict": STATE, "x": Evil(trap)}, _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"never loaded|not a readable"):
        read(path)
    (tmp_path / "p.pth").write_bytes(pickle.dumps({"state_dict": Evil(trap)}))
    with pytest.raises(CheckpointError):
        read(tmp_path / "p.pth")
    assert not trap.exists()
    pickle.loads((tmp_path / "p.pth").read_bytes())
    assert trap.exists(), "the trap works where it is sprung"


def test_what_else_a_file_holds_is_named(tmp_path):
    path = saved(tmp_path / "w.pth", {"state_dict": STATE, "when": datetime.date(2020, 1, 1)})
    with pytest.raises(CheckpointError, match=r"\(datetime.date\).*save its state_dict"):
        read(path)


def test_a_whole_module_is_refused(tmp_path):
    path = saved(tmp_path / "w.pt", torch.nn.Linear(2, 2))
    with pytest.raises(CheckpointError, match=r"torch.nn.modules.linear.Linear"):
        read(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([torch.ones(2)], "holds a list, not named tensors"),
        ({"epoch": 3}, "no named tensors"),
        ({}, "no named tensors"),
    ],
)
def test_files_without_named_tensors(tmp_path, value, message):
    with pytest.raises(CheckpointError, match=message):
        read(saved(tmp_path / "w.pth", value))


def test_damaged_files_are_said_to_be(tmp_path):
    """Truncated anywhere, or with flipped bytes: our error or intact names, never another one."""
    whole = saved(tmp_path / "w.pth", {"state_dict": STATE, "epoch": 3}).read_bytes()
    save_file(STATE, tmp_path / "w.safetensors")
    safe = (tmp_path / "w.safetensors").read_bytes()
    draw = random.Random(0)
    for data, suffix in ((whole, ".pth"), (safe, ".safetensors")):
        refused = 0
        for _ in range(60):
            damaged = bytearray(data)
            if draw.random() < 0.5:
                damaged = damaged[: draw.randrange(len(damaged))]
            else:
                for _ in range(8):
                    damaged[draw.randrange(len(damaged))] = draw.randrange(256)
            path = tmp_path / f"damaged{suffix}"
            path.write_bytes(damaged)
            try:
                read(path)
            except CheckpointError:
                refused += 1
        assert refused > 25


def test_files_that_are_none(tmp_path):
    with pytest.raises(CheckpointError, match="is not a file"):
        read(tmp_path / "nothing.pth")
    (tmp_path / "w.onnx").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is an empty file"):
        read(tmp_path / "w.onnx")


def test_keras_files_need_a_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "m.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(MachineError, match=r"h5py.*pip install 'reslab\[keras\]'"):
        read(tmp_path / "m.weights.h5")
