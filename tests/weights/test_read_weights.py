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

import numpy as np
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


def test_numbers_and_texts_among_the_tensors(tmp_path):
    state = {**STATE, "epoch": 3, "arch": "resnet", "_extra_state": None}
    notes = assert_state(saved(tmp_path / "w.pth", state))
    assert notes == ("left aside what is no layer's: 'epoch', 'arch', '_extra_state'",)


def test_counters_of_programs_among_the_tensors(tmp_path):
    """Of thop's profiler, of averaged models, and of training, as tensors."""
    counters = {
        "n_averaged": torch.tensor(7),
        "epoch": torch.tensor(3),
        "conv.total_ops": torch.zeros(1, dtype=torch.float64),
        "conv.total_params": torch.zeros(1, dtype=torch.float64),
    }
    notes = assert_state(saved(tmp_path / "w.pth", {**counters, **STATE}))
    assert "'n_averaged', 'epoch', 'conv.total_ops', 'conv.total_params'" in notes[0]


@pytest.mark.parametrize(
    ("checkpoint", "notes"),
    [
        ({"checkpoint": {"model": {"state_dict": STATE}}}, 0),
        ({"epoch": 1, "ema": {"decay": 0.999, "module": STATE}}, 0),
        ({"fold": 1, "models": [STATE]}, 0),
        ({"state_dict": STATE, "class_weights": torch.ones(3)}, 0),
        ({"optimizer": {"momentum": {k: v + 1 for k, v in STATE.items()}}, "model": STATE}, 0),
        ({"optimizer_states": [{"exp_avg": torch.ones(9, 9)}], "state_dict": STATE}, 0),
        ({"teacher": {"w": torch.ones(1)}, "student": STATE}, 1),
        ({"a": {"x": torch.ones(7)}, "state_dict": STATE}, 1),
    ],
)
def test_where_the_weights_lie_in_a_checkpoint(tmp_path, checkpoint, notes):
    assert len(assert_state(saved(tmp_path / "w.pth", checkpoint))) == notes


def test_the_state_of_a_training_is_no_weights(tmp_path):
    momentum = {"optimizer": {"conv.weight": torch.ones(4)}, "lr_scheduler": {"last": 3}}
    with pytest.raises(CheckpointError, match=r"but the state of a training.*'optimizer'"):
        read(saved(tmp_path / "w.pth", momentum))


def test_a_key_may_be_a_path_or_what_names_begin_with(tmp_path):
    nested = saved(
        tmp_path / "n.pth", {"ema": {"state": {"net": STATE}}, "net": {"w": torch.ones(2)}}
    )
    assert_state(nested, "ema.state.net")
    assert_state(nested, "ema")
    flat = {f"student.{k}": v for k, v in STATE.items()} | {
        f"teacher.{k}": v + 1 for k, v in STATE.items()
    }
    notes = assert_state(saved(tmp_path / "f.pth", flat), "student")
    assert notes == ("took the 2 tensors under 'student'; 2 others were left",)
    with pytest.raises(UsageError, match="did you mean 'student'"):
        read(tmp_path / "f.pth", "studnt")


def test_values_of_training_programs_are_left_aside(tmp_path):
    """NumPy's numbers and arrays and folders: torch's own guard refuses such files."""
    checkpoint = {
        "best_acc": np.float64(91.5),
        "confusion": np.ones((2, 2)),
        "folder": Path("runs"),
        "state_dict": STATE,
    }
    path = saved(tmp_path / "w.pth", checkpoint)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert assert_state(path) == ()


def test_arrays_in_place_of_tensors_are_named(tmp_path):
    path = saved(tmp_path / "w.pth", {"conv.weight": np.ones(3)})
    with pytest.raises(CheckpointError, match="holds NumPy arrays, not tensors; save them as safe"):
        read(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_weights_in_several_files(tmp_path, suffix):
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    write = save_file if suffix == ".safetensors" else torch.save
    names = [f"{stem}-0000{n}-of-00002{suffix}" for n in (1, 2)]
    table = dict(zip(STATE, names, strict=True))
    for tensor, name in table.items():
        write({tensor: STATE[tensor]}, tmp_path / name)
    index = tmp_path / f"{stem}{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 9}, "weight_map": table}))
    for path in (index, tmp_path, tmp_path / names[0], tmp_path / names[1]):
        assert assert_state(path) == ("read 2 files that belong together",)
    (tmp_path / names[1]).unlink()
    for path in (index, tmp_path / names[0]):
        with pytest.raises(CheckpointError, match=rf"missing are {names[1]}; download them all"):
            read(path)


def test_a_folder(tmp_path):
    with pytest.raises(CheckpointError, match="a folder without files of weights"):
        read(tmp_path)
    saved(tmp_path / "best.pth", STATE)
    assert_state(tmp_path)
    saved(tmp_path / "last.pth", STATE)
    with pytest.raises(CheckpointError, match=r"2 files .*best\.pth, last\.pth\); name one"):
        read(tmp_path)
    save_file(STATE, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert_state(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    for path in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(CheckpointError, match="a model of reslab already"):
            read(path)


def test_whole_modules_of_the_old_format_are_named_too(tmp_path):
    path = saved(tmp_path / "w.pt", torch.nn.Linear(2, 2), _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"whole module \(torch\.nn\.modules\.linear\.Linear"):
        read(path)


def test_a_malicious_file_of_the_old_format_is_named(tmp_path):
    trap = tmp_path / "trap"
    path = saved(tmp_path / "w.pt", {"x": Evil(trap)}, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"Python objects besides tensors \(posix\.mkdir\)"):
        read(path)
    assert not trap.exists()
