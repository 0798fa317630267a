"""The measuring process: it takes the steps that training takes, and answers whatever happens."""

from __future__ import annotations

import contextlib
import itertools
import json
import mmap
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import torch

from reslab.child import Child
from reslab.machine import available_mib, process_mib
from reslab.plan import predict, worker
from reslab.plan.subject import imagine
from reslab.plan.task import OutOfMemory, Task
from reslab.training import loop
from reslab.training.accumulator import READ_EVERY
from reslab.training.config import Request
from reslab.training.step import Training


def task_of(model: str = "resnet20", **changes: object) -> Task:
    overrides = {"img_size": 8, "batch_size": 8, "precision": "fp32", **changes}
    request = Request(data="", model=model, overrides=overrides, device="cpu")
    return imagine(request, num_images=400, num_classes=10).task()


def test_every_cost_of_a_run_is_measured(monkeypatch):
    sizes = []
    train_step = loop.train_step

    def watched(training: Training, batch: object, rate: float) -> torch.Tensor:
        sums = train_step(training, batch, rate)
        sizes.append((len(batch.labels), training.state.plan.progress(training.state.step)))
        return sums

    monkeypatch.setattr(loop, "train_step", watched)
    monkeypatch.setattr(worker, "WARM_S", 0.0)
    monkeypatch.setattr(worker, "EVALUATION_S", 0.0)
    began = time.time() - 100
    task = task_of(progressive_size=6, progressive_share=0.5, ema=0.9, mixup=0.2)
    cost = worker.measure(task, 0.0, began)
    least = worker.WARM_STEPS + worker.LEAST_STEPS
    assert sizes == [(8, 0.0)] * least + [(8, 1.0)] * least
    for value in (cost.step_s, cost.early_step_s, cost.eval_image_s, cost.save_s, cost.peak_mib):
        assert value > 0
    assert 99 < cost.cold_s < time.time() - began


class CountedSteps:
    """Updates that take a known time and are counted."""

    TAKES_S = 0.002

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, batch: None, rate: float) -> torch.Tensor:
        self.count += 1
        time.sleep(self.TAKES_S)
        return torch.zeros(3)


@pytest.mark.parametrize("graphed", [False, True])
def test_the_start_is_what_is_left_of_the_time_without_the_updates(graphed, monkeypatch):
    counted = CountedSteps()

    @contextlib.contextmanager
    def open_steps(training: Training, note: object) -> Iterator[tuple[object, CountedSteps]]:
        training.graphed = graphed
        yield itertools.repeat(None), counted

    monkeypatch.setattr(worker, "open_steps", open_steps)
    monkeypatch.setattr(worker, "_evaluation", lambda training, noise: 0.001)
    monkeypatch.setattr(worker, "_save", lambda training: 0.001)
    monkeypatch.setattr(worker, "WARM_S", 0.0)
    began = time.time()
    cost = worker.measure(task_of(progressive_share=0.0, progressive_size=0), 0.3, began)
    together = READ_EVERY if graphed else 1
    timed_s = (counted.count - worker.WARM_STEPS * together) * counted.TAKES_S
    assert timed_s > 0
    assert cost.step_s >= counted.TAKES_S
    assert cost.cold_s <= time.time() - began - timed_s


def test_others_are_watched_only_while_updates_are_timed(monkeypatch):
    counted, watched = CountedSteps(), []

    class Watch:
        def __init__(self) -> None:
            self.began = counted.count

        def share(self) -> float:
            watched.append((self.began, counted.count))
            return 0.1 * len(watched)

    @contextlib.contextmanager
    def open_steps(training: Training, note: object) -> Iterator[tuple[object, CountedSteps]]:
        yield itertools.repeat(None), counted

    monkeypatch.setattr(worker, "open_steps", open_steps)
    monkeypatch.setattr(worker, "OtherPrograms", Watch)
    monkeypatch.setattr(worker, "WARM_S", 0.0)
    monkeypatch.setattr(worker, "EVALUATION_S", 0.0)
    cost = worker.measure(task_of(progressive_share=0.5, progressive_size=6), 0.0, time.time())
    warm, least = worker.WARM_STEPS, worker.WARM_STEPS + worker.LEAST_STEPS
    assert watched == [(warm, least), (least + warm, 2 * least)]
    assert cost.others == 0.2


def test_the_weights_stay_finite_whatever_the_recipes_rate_is():
    noise = worker.make_noise(task_of(lr=1e9), torch.device("cpu"))
    assert len(noise.dataset.split("train")) == 16
    assert worker.measure(task_of(lr=1e9), 0.05, time.time()).save_s > 0  # it refuses others


def test_memory_is_what_the_system_tells():
    free = available_mib("cpu")
    assert free is not None
    assert free > 0
    before = process_mib()
    with mmap.mmap(-1, 64 << 20) as block:
        for place in range(0, len(block), 4096):
            block[place] = 1
        assert process_mib() - before == pytest.approx(64, abs=8)
    assert process_mib(largest=True) >= before + 56


@pytest.mark.slow
def test_running_out_of_memory_is_an_answer(tmp_path):
    huge = task_of("resnet56", img_size=64, batch_size=4096)
    asked = {"task": huge.to_json(), "seconds": 0.1, "began": time.time()}
    limited = (
        "import resource\n"
        "from reslab.plan.worker import main as measure\n"
        "def main(parent):\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "    return measure(parent)\n"
    )
    (tmp_path / "limited.py").write_text(limited)
    with Child("limited", path=[tmp_path]) as child:
        child.send(asked)
        with pytest.raises(OutOfMemory, match="does not fit into the memory of cpu"):
            child.recv()


TRAINING = """
import json, sys, time
from pathlib import Path
from reslab.machine import process_mib
from reslab.training import job
from reslab.training.config import Request
began = time.perf_counter()
asked = json.load(sys.stdin)
job.start(Request(**{**asked, "out": Path(asked["out"])}))
print(json.dumps({"peak_mib": process_mib(largest=True)}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "data", "epochs"),
    [
        ("resnet20", "shapes:num=3000,size=32", 4.0),
        ("resnet18_half", "shapes:num=600,size=64", 4.0),
    ],
)
def test_a_prediction_is_within_a_fifth_of_what_training_takes(model, data, epochs, tmp_path):
    """In turn with the training, so that both meet the same machine; the median of three."""
    ratios, memory = [], []
    for turn in range(3):
        overrides = {"epochs": epochs, "progressive_size": 0, "progressive_share": 0.0}
        asked = {"data": data, "model": model, "overrides": overrides}
        predicted = predict(Request(**asked), fresh=True)
        out = tmp_path / f"run{turn}"
        done = subprocess.run(
            [sys.executable, "-c", TRAINING],
            input=json.dumps({**asked, "out": str(out)}),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        lines = (out / "events.jsonl").read_text().splitlines()
        speeds = [json.loads(line).get("images_per_s") for line in lines]
        taken = sorted(speed for speed in speeds if speed)
        ratios.append(predicted.images_per_s / taken[len(taken) // 2])
        memory.append(predicted.peak_mib / json.loads(done.stdout)["peak_mib"])
    assert sorted(ratios)[1] == pytest.approx(1, abs=0.2), ratios
    assert sorted(memory)[1] == pytest.approx(1, abs=0.1), memory
