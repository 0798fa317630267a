"""Files that people name as weights are told apart by their content, whatever they are called."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save as safetensors_bytes

from reslab import artifact
from reslab.cli.main import main
from reslab.errors import CheckpointError
from reslab.file_kind import kind_of
from reslab.weights import read

STATE = {"conv.weight": torch.arange(40000.0), "fc.weight": torch.ones(2, 3)}


def torch_bytes(value: object = STATE, *, new_format: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=new_format)
    return buffer.getvalue()


def jit_bytes() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has announced another format
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def onnx_bytes() -> bytes:
    onnx = pytest.importorskip("onnx", reason="onnx is missing: pip install 'reslab[onnx]'")
    value = onnx.helper.make_tensor_value_info("x", 1, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["x2"])
    out = onnx.helper.make_tensor_value_info("x2", 1, [1])
    graph = onnx.helper.make_graph([node], "g", [value], [out])
    return bytes(onnx.helper.make_model(graph).SerializeToString())


def npz_bytes() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(2), b=np.ones(3))
    return buffer.getvalue()


def npy_bytes() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(2))
    return buffer.getvalue()


def zip_bytes(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return buffer.getvalue()


def tar_bytes(mode: str, *names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 7
            archive.addfile(info, io.BytesIO(b"content"))
    return buffer.getvalue()


def picture_bytes(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, kind)
    return buffer.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 46830571\n"
S3 = b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code><Message>x</Message></Error>'

# What lies there, what it is told to be, and what to do (parts of the one line).
STRANGERS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "empty": (lambda: b"", "an empty file (0 bytes)", "download or copy it again"),
    "zeros": (lambda: bytes(9000), "begins with 9,000 zeros", "again"),
    "html": (
        lambda: b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><head><title>404 Not\nFound</title>",
        "an HTML page ('404 Not Found')",
        "the file itself, not its page",
    ),
    "html upper case": (lambda: b"<HTML><BODY>virus scan", "an HTML page", "the file itself"),
    "html utf-16": (lambda: "<html><p>é</p>".encode("utf-16"), "an HTML page", "the file itself"),
    "server's xml": (lambda: S3, "an error message of a server ('NoSuchKey')", "again"),
    "server's json": (
        lambda: b'{"error": "Repository not found"}',
        "an error message of a server ('Repository not found')",
        "again",
    ),
    "server's text": (lambda: b"Entry not found", "a text of 15 bytes ('Entry not found')", ""),
    "terminal": (lambda: b"\x1b]0;evil\x1b[2Jtext", "a text of 16 bytes ('?]0;evil?[2Jtext')", ""),
    "lfs": (lambda: LFS, "a Git LFS pointer to a file of 46,830,571 bytes", "git lfs pull"),
    "annex": (
        lambda: b"/annex/objects/SHA256E-s46830571--abc.pth\n",
        "a git-annex pointer",
        "git annex get w.pth",
    ),
    "dvc": (lambda: b"outs:\n- md5: abc\n  path: w.pth\n", "a DVC pointer", "dvc pull"),
    "network's description": (
        lambda: b'{"model_type": "resnet", "depths": [2]}',
        "the description of a network ('resnet'), not its weights",
        "the file of weights beside it",
    ),
    "script": (lambda: b"#!/bin/sh\necho\n", "a script of 15 bytes", ""),
    "torchscript": (jit_bytes, "a TorchScript program", "torch.jit.load(FILE).state_dict()"),
    "torch.export": (
        lambda: zip_bytes("archive/data/weights/weight_0", "archive/archive_format"),
        "a program of torch.export",
        "torch.export.load(FILE)",
    ),
    "onnx": (onnx_bytes, "an ONNX model", "save its state_dict()"),
    "tflite": (lambda: b"\x1c\0\0\0TFL3\x14\0\0\0\0\0", "a TensorFlow Lite model", "save"),
    "gguf": (lambda: b"GGUF\x03\0\0\0\x01\0", "a GGUF file", ""),
    "npz": (npz_bytes, "2 NumPy arrays (.npz)", "safetensors.numpy.save_file"),
    "npy": (npy_bytes, "one NumPy array (.npy), without names", "safetensors"),
    "pickle of arrays": (
        lambda: pickle.dumps({"conv.weight": np.ones(3)}),
        "a Python pickle of NumPy arrays",
        "save the arrays as safetensors",
    ),
    "pickle, protocol 0": (lambda: pickle.dumps({"a": 1}, 0), "a Python pickle", "safetensors"),
    "document": (
        lambda: zip_bytes("[Content_Types].xml", "word/document.xml"),
        "a document of an office program, not weights",
        "",
    ),
    "pictures": (
        lambda: zip_bytes("a/1.jpg", "a/2.jpg", "a/3.jpg"),
        "a zip archive (of 'a/1.jpg', 'a/2.jpg' and 1 more), not weights",
        "",
    ),
    "weights in a zip": (
        lambda: zip_bytes("MAR-INF/MANIFEST.json", "best/model.pth"),
        "a zip archive",
        "unpack it, and name 'best/model.pth'",
    ),
    "weights in a tar": (
        lambda: tar_bytes("w", "readme.md", "model.safetensors"),
        "a tar archive (of 'readme.md', 'model.safetensors')",
        "unpack it, and name 'model.safetensors'",
    ),
    "gzip": (lambda: gzip.compress(torch_bytes()), "a gzip archive", "unpack it"),
    "tar.gz": (lambda: tar_bytes("w:gz", "model.pth"), "a gzip archive", "unpack it"),
    "jpeg": (lambda: picture_bytes("JPEG"), "a JPEG image, not weights", ""),
    "webp": (lambda: picture_bytes("WEBP"), "a WebP image", ""),
    "pdf": (lambda: b"%PDF-1.7\n%\xe2\xe3", "a PDF document", ""),
    "cut zip": (
        lambda: torch_bytes()[:50_000],
        "a torch checkpoint that was cut off or damaged: 50,000 bytes",
        "download or copy it again",
    ),
    "cut old format": (
        lambda: torch_bytes(new_format=False)[:50_000],
        "a torch checkpoint that is damaged or was cut off (50,000 bytes)",
        "download or copy it again",
    ),
    "cut safetensors": (
        lambda: safetensors_bytes(STATE)[:50_000],
        f"cut off: 50,000 bytes of {len(safetensors_bytes(STATE)):,} are there",
        "download or copy it again",
    ),
    "cut header": (
        lambda: safetensors_bytes(STATE)[:60],
        "cut off: 60 bytes of at least",
        "download or copy it again",
    ),
    "index of nothing": (
        lambda: b'{"weight_map": {"a": "../../etc/passwd"}}',
        "names no files of weights beside it",
        "",
    ),
    "noise": (
        lambda: np.random.default_rng(0).integers(128, 256, 99, np.uint8).tobytes(),
        "no known kind of file (99 bytes, beginning ",
        "",
    ),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_what_is_no_file_of_weights_is_named(tmp_path, capsys, case):
    make, what, remedy = STRANGERS[case]
    path = tmp_path / "w.pth"
    path.write_bytes(make())
    out = tmp_path / "model"
    assert main(["weights", "import", str(path), "--out", str(out)]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert what in line
    assert remedy in line
    assert "weights_only" not in line
    assert not out.exists()


@pytest.mark.parametrize("case", ["html", "lfs", "torchscript", "cut zip", "jpeg", "empty"])
def test_a_model_to_predict_with_or_to_start_from_is_named_likewise(tmp_path, capsys, case):
    make, what, _ = STRANGERS[case]
    path = tmp_path / "w.pth"
    path.write_bytes(make())
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for shade in range(4):
            Image.new("L", (8, 8), shade).save(tmp_path / "data" / label / f"{shade}.png")
    data = str(tmp_path / "data")
    for words in (
        ["predict", path, tmp_path / "x.png"],
        ["eval", path, data],
        ["train", data, "--start", path, "--out", tmp_path / "run"],
    ):
        assert main([str(word) for word in words]) == 4, words
        assert what in capsys.readouterr().err, words


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (lambda: torch_bytes(), "w.safetensors"),
        (lambda: torch_bytes(new_format=False), "w"),
        (lambda: safetensors_bytes(STATE), "pytorch_model.bin"),
        (lambda: safetensors_bytes(STATE), "w.ckpt"),
    ],
)
def test_weights_are_read_whatever_their_name(tmp_path, data, name):
    (tmp_path / name).write_bytes(data())
    found = read(tmp_path / name).tensors
    assert torch.equal(found["fc.weight"], STATE["fc.weight"])
    with pytest.raises(CheckpointError, match="reslab weights import"):
        artifact.load(tmp_path / name)


def test_links_that_lead_nowhere(tmp_path):
    objects = "../.git/annex/objects/Xz/SHA256E-s9--a.pth/SHA256E-s9--a.pth"
    os.symlink(objects, tmp_path / "w.pth")
    os.symlink("../../blobs/abc", tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"git-annex pointer.*git annex get w\.pth"):
        read(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"is a link to \.\./\.\./blobs/abc, which does not"):
        read(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="which does not"):
        read(tmp_path)  # the folder that holds it


def test_a_pointer_in_place_of_a_models_weights(tmp_path):
    """What a clone of a repository without Git LFS leaves."""
    (tmp_path / "model.safetensors").write_bytes(LFS)
    (tmp_path / "model.json").write_text(json.dumps({"spec": {}, "classes": []}))
    entry = {"size": 5, "sha256": "0" * 64}
    manifest = {"format": 1, "files": {"model.json": entry, "model.safetensors": entry}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"Git LFS pointer.*git lfs pull"):
        artifact.load(tmp_path)
    assert kind_of(tmp_path / "model.json").name == "reslab model"


def test_a_truncated_file_is_said_to_be_cut_off_wherever_it_ends(tmp_path):
    whole = safetensors_bytes(STATE)
    path = tmp_path / "w.safetensors"
    for length in (9, 40, 100, 5_000, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert f"{length:,} bytes of" in kind_of(path).what
    path.write_bytes(whole)
    assert kind_of(path).holds_weights
