"""reslab's training loop on a device: checked on a few steps first, then let go by chunks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from bench.gpu.device import exact_convolutions, gpu_peak_mib
from bench.ours.assembled import assembled, share
from bench.session import CHECK_RATE, CHECKED, Session
from bench.worker import save
from reslab.runs.directory import RunDirectory
from reslab.training import loop
from reslab.training.budget import Clock
from reslab.training.config import Request
from reslab.training.observe import Silent, StepEvent
from reslab.training.step import Training
from reslab.training.stop import StopRequest

STEPS = 99_000  # more than are taken, and too few to try every kernel for


class Steered(Silent):
    """An observer that holds the loop after each chunk of updates until the next is wanted.

    Args:
        session: who says how many.
        training: what is trained.
        warm_up: updates before the first chunk.
    """

    def __init__(self, session: Session, training: Training, warm_up: int) -> None:
        self.session = session
        self.training = training
        self.from_step = training.state.step
        self.wanted = warm_up
        self.warm = False
        self.began = time.perf_counter()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a line for the results."""
        self.notes.append(text)

    def step(self, event: StepEvent) -> None:
        """Hear of updates; wait here when a chunk is done."""
        done = event.step - self.from_step
        if done < self.wanted:
            return
        seconds, device = time.perf_counter() - self.began, self.training.device
        if self.warm:
            count = done * self.training.recipe.batch_size
            self.session.answer(count, seconds, gpu_peak_mib=gpu_peak_mib(device), loss=event.loss)
        else:
            self.warm = True
            recorded = self.training.graphed and device.type == "cuda" and not self.notes
            self.session.ready(torch=torch.__version__, one_graph=recorded, notes=self.notes)
        self.wanted = self.session.wait()
        self.from_step, self.began = event.step, time.perf_counter()


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Say what the first updates compute, then train until nothing more is asked for."""
    session.mark("import_s")
    own = Path(settings["own"])
    training = assembled(request(settings), torch.device(settings["device"]))
    save(own / CHECKED, check(training, settings))
    session.mark("first_step_s")
    run = RunDirectory(own / "run")
    (own / "run").mkdir()
    watch = loop.Watch(
        evaluate=dict,
        run=run,
        observer=Steered(session, training, settings["warm_up"]),
        stop=StopRequest(),
        clock=Clock(0.0, time.perf_counter()),
        budget=None,
        save_every_s=1e9,
    )
    loop.train(training, watch)
    raise RuntimeError("the run came to its end before the measurement")


def request(settings: dict[str, Any]) -> Request:
    """Ask for what the peers' trainers do: the same network, batch, views, optimizer."""
    return Request(
        data=settings["data"],
        model=settings["network"],
        recipe="he2015-cifar",
        device=settings["device"],
        overrides={
            "batch_size": settings["batch_size"],
            "img_size": settings["img_size"],
            "pad_crop": settings["pad_crop"],
            "flip": settings["flip"],
            "steps": STEPS,
            "compile": bool(settings.get("compile")) and not settings["quick"],
            "normalization": "channel",
            "decay_all": True,
            "track_test": False,
            "warmup_until_error_pct": 0.0,
            "warmup_lr": 0.0,
            "warmup_steps": 0,
        },
        cache=Path(settings["scratch"]) / "reslab-cache",
    )


def check(training: Training, settings: dict[str, Any]) -> dict[str, Any]:
    """Write weights and batches for the peers, and take the same first updates as they will."""
    network, batches = training.network, share(training, settings)
    network.eval()
    with torch.no_grad(), exact_convolutions():
        logits = network(batches[0].images[:8]).float().cpu().numpy()
    del batches
    network.train()
    losses = []
    with loop.open_steps(training, print) as (batches, step):
        for _ in range(settings["check_steps"]):
            sums = step(next(batches), CHECK_RATE)
            training.state.step += 1
            losses.append(float(sums[0] / sums[2]))
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "logits": logits,
        "losses": losses,
    }
