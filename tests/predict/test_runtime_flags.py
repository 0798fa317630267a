"""`reslab predict --runtime`, `--precision` and `--benchmark`; the same by `Predictor`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import reslab
from reslab import artifact
from reslab.cli.main import main
from reslab.cli.predict import RUNTIMES
from reslab.data.preprocess import Preprocess
from reslab.errors import UsageError
from reslab.networks.network import build
from reslab.networks.resnet import ResNetSpec, StageSpec, StemSpec
from reslab.predict import load
from reslab.predict.runtimes import RUNTIMES as REGISTERED
from reslab.predict.runtimes import choose

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choose, "MEASURE_S", 0.0)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    spec = ResNetSpec(
        name="tiny",
        num_classes=3,
        img_size=8,
        stem=StemSpec(width=4, kernel=3, stride=1, max_pool=False),
        stages=(StageSpec(width=4, depth=1, stride=1),),
    )
    preprocess = Preprocess(img_size=8, resize_size=8)
    model = artifact.Artifact(build(spec).eval(), ("a", "b", "c"), preprocess, temperature=0.3)
    artifact.save(model, tmp_path / "run" / "model")
    return tmp_path / "run"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(draw.integers(0, 256, (9, 9, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


def predict(run_dir: Path, *words: object) -> int:
    return main(["predict", str(run_dir), *map(str, words), "--device", "cpu"])


def answers(capsys: Capture) -> dict[str, dict[str, float]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {line["path"]: {g["label"]: g["prob"] for g in line["top"]} for line in lines}


def test_the_flag_knows_every_runtime() -> None:
    assert set(RUNTIMES) == {"auto", *REGISTERED}


@pytest.mark.parametrize(
    "words",
    [
        ["--runtime", "auto"],
        ["--runtime", "eager", "--precision", "fp32"],
        ["--runtime", "eager", "--precision", "auto"],
        ["--runtime", "openvino", "--precision", "fp32"],
    ],
    ids=" ".join,
)
def test_the_answers_do_not_depend_on_who_computes(
    run_dir: Path, images: Path, capsys: Capture, words: list[str]
) -> None:
    if "openvino" in words:
        pytest.importorskip("openvino", reason="needs pip install 'reslab[openvino]'")
    expected = {p.path: dict(p.top) for p in load(run_dir, device="cpu").predict(images)}
    assert predict(run_dir, images, "--json", "--batch-size", 2, *words) == 0
    found = answers(capsys)
    assert found.keys() == expected.keys()
    for path, probs in expected.items():
        assert found[path] == pytest.approx(probs, abs=2e-3)
        assert max(found[path], key=found[path].__getitem__) == next(iter(probs))


def test_what_was_chosen_is_said_on_stderr(run_dir: Path, images: Path, capsys: Capture) -> None:
    words = ["--json", "--runtime", "eager", "--precision", "auto", "--batch-size", "5"]
    assert predict(run_dir, images, *words) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(("runtime eager fp32, ", "runtime eager bf16, "))
    assert "compared on 5 images: the same labels" in line
    assert predict(run_dir, images, "--json") == 0
    assert capsys.readouterr().err == "", "torch as it is needs no word"


@pytest.mark.parametrize("places", [["images"], []], ids=["images", "noise"])
def test_measure_prints_every_runtime(
    run_dir: Path, images: Path, capsys: Capture, places: list[str]
) -> None:
    given = [images] if places else []
    words = ["--benchmark", "--batch-size", 4, "--runtime", "eager"]
    assert predict(run_dir, *given, *words, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["torch", "eager", *["eager"] * (len(rows) - 2)]
    assert all(row["images_per_s"] > 0 and row["images"] == 4 for row in rows)
    assert rows[0]["difference"] == 0
    assert predict(run_dir, *given, *words) == 0
    text = capsys.readouterr().out
    assert "batches of 4 images of 8x8" in text
    assert "the reference" in text


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "no images given"),
        (["x.png", "--runtime", "tensorrt"], 2, "invalid choice"),
        (["x.png", "--runtime", "onnxruntime", "--precision", "bf16"], 2, "computes in fp32"),
        (["--benchmark", "--csv"], 2, "--json"),
        (["x.png", "--precision", "fp16"], 5, "fp16"),
    ],
)
def test_flags_that_cannot_be_used(
    run_dir: Path, capsys: Capture, words: list[str], code: int, says: str
) -> None:
    if "onnxruntime" in words:
        pytest.importorskip("onnxruntime", reason="needs pip install 'reslab[onnx]'")
    assert predict(run_dir, *words) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_runtime_that_is_not_installed(
    run_dir: Path, images: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    assert predict(run_dir, images, "--runtime", "openvino") == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'reslab[openvino]'" in line
    assert predict(run_dir, images, "--json") == 0, "auto needs torch alone"


def test_from_python(run_dir: Path, images: Path) -> None:
    said: list[str] = []
    model = reslab.load(
        run_dir, device="cpu", runtime="eager", precision="auto", notify=said.append
    )
    first = model.predict(images)
    for a, b in zip(model.predict(sorted(images.iterdir())), first, strict=True):
        assert dict(a.top) == pytest.approx(dict(b.top), abs=0.03)
        assert a.top[0][0] == b.top[0][0]
    assert len(said) == 1
    with pytest.raises(UsageError, match="unknown runtime 'onnx'"):
        reslab.load(run_dir, runtime="onnx")
