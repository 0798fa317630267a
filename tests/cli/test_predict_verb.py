"""`reslab predict`: three forms of output, every path answered, exit code 3 where one failed."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reslab import artifact
from reslab.cli.main import main
from reslab.data.preprocess import Preprocess
from reslab.networks.network import build
from reslab.networks.resnet import ResNetSpec, StageSpec, StemSpec
from reslab.predict import load

Capture = pytest.CaptureFixture[bytes]
CLASSES = ("ant", "bee", "café ☕", "dog")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    spec = ResNetSpec(
        name="tiny",
        num_classes=4,
        img_size=8,
        stem=StemSpec(width=4, kernel=3, stride=1, max_pool=False),
        stages=(StageSpec(width=4, depth=1, stride=1),),
    )
    preprocess = Preprocess(img_size=8, resize_size=8)
    model = artifact.Artifact(build(spec).eval(), CLASSES, preprocess, temperature=0.3)
    artifact.save(model, tmp_path / "run" / "model")
    return tmp_path / "run"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name in ("a.png", "b.png", "deeper/c.PNG"):
        Image.fromarray(draw.integers(0, 256, (9, 9, 3), np.uint8)).save(folder / name)
    return folder


def lines(capture: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capture.readouterr().out.splitlines()]


def predict(run_dir: Path, *words: object) -> int:
    return main(["predict", str(run_dir), *map(str, words), "--device", "cpu"])


def test_json_has_a_line_an_image(run_dir: Path, images: Path, capfdbinary: Capture) -> None:
    assert predict(run_dir, images, "--json") == 0
    captured = capfdbinary.readouterr()
    found = [json.loads(line) for line in captured.out.splitlines()]
    assert captured.err == b""
    expected = load(run_dir, device="cpu").predict(images)
    assert [line["path"] for line in found] == [p.path for p in expected]
    for line, prediction in zip(found, expected, strict=True):
        assert set(line) == {"path", "top"}
        assert [guess["label"] for guess in line["top"]] == [label for label, _ in prediction.top]
        probs = [prob for _, prob in prediction.top]
        assert [guess["prob"] for guess in line["top"]] == pytest.approx(probs, abs=1e-6)


def test_every_path_is_answered_in_its_order(
    run_dir: Path, images: Path, capfdbinary: Capture
) -> None:
    (images / "b.png").write_bytes((images / "b.png").read_bytes()[:60])
    (images / "empty").mkdir()
    places = [images / "deeper", images / "no.jpg", images / "*.png", images / "empty"]
    assert predict(run_dir, *places, "--json") == 3
    captured = capfdbinary.readouterr()
    found = [json.loads(line) for line in captured.out.splitlines()]
    names = ["deeper/c.PNG", "no.jpg", "a.png", "b.png", "empty"]
    assert [line["path"] for line in found] == [str(images / name) for name in names]
    assert ["error" in line for line in found] == [False, True, False, True, True]
    assert b"3 of 5 images could not be read" in captured.err


def test_csv_keeps_odd_names_byte_for_byte(
    run_dir: Path, images: Path, capfdbinary: Capture
) -> None:
    odd = os.fsencode(images) + b"/odd\xff,\n.png"
    os.rename(images / "a.png", odd)
    (images / "b.png").write_bytes(b"")
    assert predict(run_dir, images, "--csv", "--top", 2) == 3
    text = capfdbinary.readouterr().out.decode("utf-8", "surrogateescape")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == ["path", "label1", "prob1", "label2", "prob2", "error"]
    by_path = {os.fsencode(row["path"]): row for row in rows}
    assert by_path[odd]["label1"] in CLASSES
    assert by_path[odd]["error"] == ""
    bad = by_path[os.fsencode(images / "b.png")]
    assert bad["label1"] == bad["prob2"] == ""
    assert "empty" in bad["error"]


def test_json_of_odd_names_can_be_turned_back(
    run_dir: Path, images: Path, capfdbinary: Capture
) -> None:
    odd = os.fsencode(images) + b"/odd\xff\n.png"
    os.rename(images / "a.png", odd)
    assert predict(run_dir, images, "--json") == 0
    out = capfdbinary.readouterr().out
    assert odd in [os.fsencode(json.loads(line)["path"]) for line in out.splitlines()]
    assert "café ☕" in out.decode()


def test_the_table_shows_names_on_one_line_and_errors_in_place(
    run_dir: Path, images: Path, capfdbinary: Capture
) -> None:
    os.rename(images / "a.png", os.fsencode(images) + b"/odd\xff\n.png")
    (images / "b.png").write_bytes(b"")
    assert predict(run_dir, images) == 3
    text = capfdbinary.readouterr().out.decode("utf-8")
    assert r"odd\xff\n.png" in text
    assert "(unreadable)" in text
    assert len(text.splitlines()) == 2 + 3
    assert "\x1b" not in text, "no colours in a file"


@pytest.mark.parametrize("nul", [False, True])
def test_paths_from_stdin(
    run_dir: Path,
    images: Path,
    capfdbinary: Capture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    nul: bool,
) -> None:
    names = [os.fsencode(images / name) for name in ("deeper/c.PNG", "b.png")]
    if nul:
        names.append(os.fsencode(images) + b"/with\nnewline\xff.png")
        os.rename(images / "a.png", names[-1])
    end = b"\0" if nul else b"\n"
    (tmp_path / "list").write_bytes(end.join(names))  # the last one without its end
    with open(tmp_path / "list", encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert predict(run_dir, "-", "--json", *(["-0"] if nul else [])) == 0
    assert [os.fsencode(line["path"]) for line in lines(capfdbinary)] == names


def test_a_program_can_ask_and_be_answered(run_dir: Path, images: Path) -> None:
    """A path in, its answer out, before the next path is written: nothing may be held back."""
    program = "from reslab.cli.main import entry; entry()"
    command = [sys.executable, "-c", program, "predict", str(run_dir), "-", "--json"]
    command += ["--batch-size", "1", "--device", "cpu"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("a.png", "nowhere.png", "b.png"):
            process.stdin.write(os.fsencode(images / name) + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["path"] == str(images / name)
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait() == 3


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--top", "0"], 2, "top must be 1 or more"),
        (["--batch-size", "0"], 2, "batch_size must be 1 or more"),
        (["--workers=-1"], 2, "--workers: must be 0 or more, received -1"),
        (["--workers", "two"], 2, "--workers: 'two' is no whole number"),
        (["--json", "--csv"], 2, "not allowed with"),
        (["--jsn"], 2, "--json"),
        (["--device", "toaster"], 2, "unknown device"),
    ],
)
def test_flags_that_cannot_be_used(
    run_dir: Path,
    images: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    says: str,
) -> None:
    assert main(["predict", str(run_dir), str(images), *words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_model_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(tmp_path / "nowhere"), "a.png"]) == 4
    assert "does not exist" in capsys.readouterr().err
