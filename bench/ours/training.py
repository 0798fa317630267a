"""`reslab train` as users run it, stopped and let go between two steps by its observer."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch

from bench.ours.assembled import assembled, share
from bench.session import CHECK_RATE, Session
from reslab.training import job
from reslab.training.config import Request
from reslab.training.observe import Silent, StepEvent
from reslab.training.step import train_step


class Steered(Silent):
    """An observer that holds the loop after each chunk of steps until the next is wanted.

    Args:
        session: who says how many.
        warm_up: steps before the first chunk.
        batch_size: images a step.
    """

    def __init__(self, session: Session, warm_up: int, batch_size: int) -> None:
        self.session = session
        self.left = warm_up
        self.units = 0
        self.batch_size = batch_size
        self.began = 0.0
        self.first = True

    def step(self, event: StepEvent) -> None:
        """Hear of an update; wait here when a chunk is done."""
        if self.first:
            self.session.mark("first_step_s")
            self.first = False
        self.left -= 1
        if self.left > 0:
            return
        seconds = time.perf_counter() - self.began
        if self.units:
            self.session.answer(self.units * self.batch_size, seconds, loss=event.loss)
        else:
            self.session.ready(torch=torch.__version__, threads=torch.get_num_threads())
        self.left = self.units = self.session.wait()
        self.began = time.perf_counter()


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Train until nothing more is asked for."""
    session.mark("import_s")
    observer = Steered(session, settings["warm_up"], settings["batch_size"])
    job.start(request(settings), observer)
    raise RuntimeError("the run came to its end before the measurement")


def request(settings: dict[str, Any]) -> Request:
    """Ask for the run that the peers' trainers do: the same network, batch, views, optimizer."""
    own = Path(settings["own"])
    return Request(
        data=settings["data"],
        model=settings["network"],
        recipe="he2015-cifar",
        overrides={
            "batch_size": settings["batch_size"],
            "img_size": settings["img_size"],
            "pad_crop": settings["pad_crop"],
            "flip": settings["flip"],
            "steps": 10_000_000,
            "precision": settings.get("precision", "auto"),
            "normalization": "channel",
            "decay_all": True,
            "track_test": False,
        },
        out=own / f"run-{os.getpid()}",
        save_every_s=1e9,
        cache=own / "reslab-cache",
    )


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Write weights and batches for the peers, and say what ours makes of them."""
    training = assembled(request(settings), torch.device("cpu"))
    batches = share(training, settings)
    network = training.network.eval()
    with torch.no_grad():
        logits = network(batches[0].images[:8])
    network.train()
    losses = []
    for batch in batches:
        sums = train_step(training, batch, CHECK_RATE)
        losses.append(float(sums[0] / sums[2]))
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "logits": logits.numpy(),
        "losses": losses,
    }
