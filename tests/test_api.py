"""The Python API as a user calls it, in one process."""

from __future__ import annotations

import html
import json

import numpy as np
import pytest

import reslab
from reslab.errors import UsageError
from reslab.training.observe import Silent

FAST = {"steps": 3, "batch_size": 64, "precision": "fp32"}


class Recorder(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[int] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, event) -> None:
        self.steps.append(event.step)


def test_training_twice_and_predicting_in_one_process(tmp_path):
    first = reslab.train("digits", overrides=FAST, out=tmp_path / "a", device="cpu")
    watcher = Recorder()
    second = reslab.train(
        "digits", overrides=FAST, out=str(tmp_path / "b"), device="cpu", observer=watcher
    )
    assert watcher.steps == [1, 2, 3]
    assert any("resnet20" in note for note in watcher.notes)
    assert np.array_equal(first.test.logits, second.test.logits), "same seed, same bytes"
    assert (tmp_path / "a" / "report.html").is_file()
    call = f"reslab.train('digits', overrides={FAST}, out={str(tmp_path / 'a')!r}, device='cpu')"
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["command"] == ["python", "-c", f"import reslab\n\n{call}"]
    assert call in html.unescape((tmp_path / "a" / "report.html").read_text())

    predictor = reslab.load(first.run_dir, device="cpu")
    image = np.zeros((8, 8), np.uint8)
    (answer,) = predictor.predict([image], top=3)
    assert len(answer.top) == 3
    assert sum(p for _, p in predictor.predict([image], top=10)[0].top) == pytest.approx(1)


def test_a_result_is_strict_json_even_after_one_step(tmp_path):
    result = reslab.train(
        "digits", overrides={**FAST, "steps": 1}, out=tmp_path / "run", device="cpu"
    )
    again = reslab.resume(tmp_path / "run", overrides={"steps": 2})
    for value in (result, again):
        text = json.dumps(value.to_json(), allow_nan=False)
        assert {"run_dir", "model", "test", "wall_s", "train_images_per_s"} <= set(json.loads(text))
    for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_another_seed_gives_another_network(tmp_path):
    runs = [
        reslab.train("digits", overrides=FAST, out=tmp_path / str(s), seed=s, device="cpu")
        for s in (0, 1)
    ]
    assert not np.array_equal(runs[0].test.logits, runs[1].test.logits)


def test_a_trained_model_brings_its_network(tmp_path):
    first = reslab.train("digits", overrides=FAST, out=tmp_path / "a", device="cpu")
    with pytest.raises(UsageError, match="resnet20, not a resnet32"):
        reslab.train("digits", model="resnet32", start=first.model, out=tmp_path / "b")
    assert not (tmp_path / "b").exists()
