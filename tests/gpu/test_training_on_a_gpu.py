"""What only a GPU can tell: its graphs are the updates taken one by one, and runs go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from parts import make_training

from reslab.errors import StoppedError
from reslab.models import create_model
from reslab.training import compiling, job
from reslab.training.accumulator import READ_EVERY
from reslab.training.config import Request
from reslab.training.cuda_graph import CudaGraph
from reslab.training.loop import open_steps
from reslab.training.observe import Silent, StepEvent
from reslab.training.step import Training, TrainingForward, train_step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

STEPS = 8


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda", 0)


def by_a_graph(training: Training, rates: list[float]) -> list[list[float]]:
    notes: list[str] = []
    training.network.train()
    sums = []
    with open_steps(training, notes.append) as (batches, step):
        for rate in rates:
            sums.append(step(next(batches), rate))
            training.state.step += 1
    assert notes == []  # it was captured
    return torch.stack(sums).tolist()


def one_by_one(training: Training, rates: list[float]) -> list[list[float]]:
    training.network.train()
    sums = []
    for rate in rates:
        batch = training.loader.batch(training.state.step)
        sums.append(train_step(training, batch, rate).tolist())
        training.state.step += 1
    return sums


@pytest.mark.parametrize(
    "recipe",
    [
        {"ema": 0.9, "clip_grad_norm": 0.5, "label_smoothing": 0.1, "pad_crop": 1},
        {"optimizer": "adamw", "lr": 0.001, "mixup": 0.4, "cutmix": 1.0, "accumulate": 2},
        {"crop_scale": (0.3, 1.0), "rotate": 10.0, "color_jitter": 0.3, "random_erasing": 0.5},
        {"dropout": 0.5, "max_filter_rms": 0.1, "class_weights": True},
        {"progressive_size": 8, "progressive_share": 0.1, "img_size": 16, "steps": 50},
    ],
)
def test_a_graph_is_the_updates_taken_one_by_one(recipe, device) -> None:
    rates = [0.01 / (1 + step) for step in range(STEPS)]
    settings = {"batch_size": 64, "img_size": 8, **recipe}
    graph, single = (make_training(settings, device=device) for _ in range(2))
    assert graph.graphed
    found, expected = by_a_graph(graph, rates), one_by_one(single, rates)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine[0] == pytest.approx(theirs[0], rel=2e-3)
        assert mine[2] == theirs[2]
    for a, b in zip(graph.network.parameters(), single.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-2)
    if graph.ema is not None and single.ema is not None:
        expected_average = single.ema.tensors()
        for name, tensor in graph.ema.tensors().items():
            torch.testing.assert_close(tensor, expected_average[name], atol=2e-3, rtol=2e-2)


def test_a_graph_draws_the_dropout_of_its_step(device) -> None:
    # Rates of zero leave the weights alone: losses differ by dropout and the batch only.
    settings = {"batch_size": 64, "dropout": 0.5, "ema": 0, "weight_decay": 0.0}
    graph, single = (make_training(settings, device=device) for _ in range(2))
    found = [row[0] for row in by_a_graph(graph, [0.0] * STEPS)]
    expected = [row[0] for row in one_by_one(single, [0.0] * STEPS)]
    assert found == pytest.approx(expected, rel=1e-4)
    assert len({round(loss, 4) for loss in found}) == STEPS


def test_a_processor_and_a_gpu_train_alike(device) -> None:
    rates = [0.01] * 4
    settings = {"batch_size": 64, "ema": 0}
    found = by_a_graph(make_training(settings, device=device), rates)
    expected = one_by_one(make_training(settings), rates)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine[0] == pytest.approx(theirs[0], rel=5e-3)


def test_images_lie_on_the_gpu_and_views_are_those_of_a_processor(device) -> None:
    settings = {"batch_size": 64, "mixup": 0.4, "rotate": 10.0, "crop_scale": (0.3, 1.0)}
    there, here = make_training(settings, device=device), make_training(settings)
    assert there.loader.fitted.device == device
    assert there.loader.raw(3).pixels is None
    mine, theirs = there.loader.batch(3), here.loader.batch(3)
    assert torch.equal(mine.samples.cpu(), theirs.samples)
    torch.testing.assert_close(mine.images.cpu(), theirs.images, atol=2e-4, rtol=1e-4)
    there.loader.fitted = here.loader.fitted  # as where they do not fit
    streamed = there.loader.batch(3)
    torch.testing.assert_close(streamed.images, mine.images, atol=1e-6, rtol=0)


class StopAt(Silent):
    def __init__(self, step: int = 0) -> None:
        self.at = step
        self.notes: list[str] = []
        self.steps: list[int] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, event: StepEvent) -> None:
        self.steps.append(event.step)
        if self.at and event.step >= self.at:
            self.at = 0
            os.kill(os.getpid(), signal.SIGTERM)


def request(out: Path, **changes: Any) -> Request:
    overrides = {"steps": 60, "batch_size": 64, "img_size": 8, **changes.pop("overrides", {})}
    return Request(data="digits", device="cuda", overrides=overrides, out=out, **changes)


def test_a_run_stops_and_goes_on(tmp_path) -> None:
    whole = job.start(request(tmp_path / "whole"), StopAt())
    with pytest.raises(StoppedError):
        job.start(request(tmp_path / "parts"), StopAt(25))
    watcher = StopAt()
    resumed = job.resume(tmp_path / "parts", observer=watcher)
    assert not [note for note in watcher.notes if "one CUDA graph" in note]
    assert max(b - a for a, b in zip(watcher.steps, watcher.steps[1:], strict=False)) <= READ_EVERY
    a, b = whole.test.accuracy_pct, resumed.test.accuracy_pct
    assert a == pytest.approx(b, abs=5.0)
    assert a > 50


def test_the_fast_recipe_trains(tmp_path) -> None:
    overrides = {"epochs": 2.0, "steps": 0, "img_size": 16}
    found = job.start(request(tmp_path / "run", recipe="fast", overrides=overrides), StopAt())
    assert found.test.accuracy_pct > 15


def test_bf16_logits_are_those_of_float32_on_a_processor(device) -> None:
    torch.manual_seed(0)
    network = create_model("resnet20").eval()
    x = torch.randn(32, 3, 32, 32)
    with torch.no_grad():
        expected = network(x)
        moved = network.to(device, memory_format=torch.channels_last)
        there = x.to(device).contiguous(memory_format=torch.channels_last)
        plain = moved(there).cpu()
        with torch.autocast("cuda", torch.bfloat16):
            rounded = moved(there).float().cpu()
    torch.testing.assert_close(plain, expected, atol=1e-3, rtol=1e-3)
    assert float((rounded - expected).abs().max() / expected.abs().max()) < 0.03


def test_compiled_updates_are_captured_too(device) -> None:
    settings = {"batch_size": 64, "compile": True, "steps": 1000, "ema": 0}
    graph, single = make_training(settings, device=device), make_training({"batch_size": 64})
    assert graph.compiled == compiling.DEFAULT
    found = by_a_graph(graph, [0.01] * STEPS)
    expected = one_by_one(single, [0.01] * STEPS)
    assert found[0][0] == pytest.approx(expected[0][0], rel=1e-3)
    assert found[-1][0] == pytest.approx(expected[-1][0], rel=5e-2)


def test_a_mode_is_measured_without_a_trace(device) -> None:
    network = create_model("resnet20").to(device)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    images = torch.randn(16, 3, 32, 32, device=device)
    forward = TrainingForward(network)
    took = compiling.forward_backward_s(forward, compiling.DEFAULT, images, torch.bfloat16)
    assert took > 0
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


def test_forgetting_a_graph_frees_its_memory(device) -> None:
    x = torch.randn(1 << 22, device=device)
    place = torch.zeros((), device=device)
    graph = CudaGraph(device)

    def work() -> None:
        place.copy_((x * 2).sum())

    graph.warm_up(work)
    graph.capture(work)
    x.fill_(1.0)
    graph.replay()
    assert float(place) == 2 * x.numel()
    held = torch.cuda.memory_reserved(device)
    graph.reset()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved(device) < held
    with pytest.raises(AssertionError, match="nothing is captured"):
        graph.replay()
