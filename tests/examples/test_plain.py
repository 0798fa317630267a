"""The example in plain torch is the training that it says it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from reslab.training import build, job, loop
from reslab.training.config import Request
from reslab.training.step import Training

STEPS = 20
FILE = Path(__file__).parents[2] / "examples" / "plain.py"


class Enough(Exception):  # noqa: N818 - not an error: what was asked for is known
    pass


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_losses_are_those_of_reslab_train(plain, monkeypatch, tmp_path):
    losses: list[float] = []
    train_step = loop.train_step

    def watched(training: Training, batch: object, rate: float) -> torch.Tensor:
        sums = train_step(training, batch, rate)
        losses.append(float(sums[0] / sums[2]))
        if len(losses) == STEPS:
            raise Enough
        return sums

    monkeypatch.setattr(loop, "train_step", watched)
    # Torch's own batch norms on both sides: a fused pass sums in another order.
    monkeypatch.setattr(build, "uses_fused_passes", lambda recipe, device: False)
    numbers = {"precision": "fp32"}
    with pytest.raises(Enough):
        job.start(Request(data="digits", device="cpu", overrides=numbers, out=tmp_path / "run"))
    found = plain.train(STEPS)
    assert found == pytest.approx(losses, rel=1e-6)
    assert found[-1] < found[0]


def test_it_is_short_and_does_without_the_trainer():
    text = FILE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    assert "reslab.training" not in text
