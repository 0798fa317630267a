"""Trainers as PyTorch's users write them, plain or tuned."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from bench.peers import loading
from bench.peers.networks import make
from bench.peers.trainer import Trainer, checked
from bench.session import SHARED, Session

WARM_UP_S = 30.0  # enough for whoever is slow: one that is will be left out


def make_trainer(settings: dict[str, Any], shared: dict[str, Any]) -> Trainer:
    """Return the arm's trainer with the weights that our arm has written."""
    network = make(settings["library"], settings["their_network"], 10)
    network.load_state_dict(shared["weights"])
    return Trainer(
        network,
        rate=0.1,
        tuned=bool(settings.get("tuned")),
        bf16=bool(settings.get("bf16")),
        channels_last=bool(settings.get("channels_last")),
        compiled=bool(settings.get("compile")),
    )


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Train for as many steps as each chunk has."""
    session.mark("import_s")
    shared = torch.load(Path(settings["scratch"], SHARED))
    trainer = make_trainer(settings, shared)
    batches = make_batches(settings, shared)
    for number in range(settings["warm_up"]):
        trainer.step(*next(batches))
        if number == 0:
            session.mark("first_step_s")
            second = time.monotonic()
        elif time.monotonic() - second > WARM_UP_S:
            break
    session.ready(torch=torch.__version__, threads=torch.get_num_threads())
    for units in session.chunks():
        count, loss, began = 0, torch.zeros(()), time.perf_counter()
        for _ in range(units):
            images, labels = next(batches)
            loss = trainer.step(images, labels)
            count += len(labels)
        session.answer(count, time.perf_counter() - began, loss=float(loss.detach()))


def make_batches(settings: dict[str, Any], shared: dict[str, Any]) -> loading.Batches:
    """Return the arm's batches: "workers" of torch's loader, "batched", or "resident"."""
    mean, std = shared["mean"], shared["std"]
    if settings["loader"] == "resident":
        return loading.resident(settings, shared, bool(settings.get("channels_last")))
    del shared["images"]
    if settings["loader"] == "batched":
        return loading.batched(settings, mean, std)
    views = loading.transforms(settings, mean, std)
    dataset = loading.ImagesInMemory(Path(settings["data"], "train"), views)
    return loading.endless(loading.data_loader(dataset, settings["batch_size"]))


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Say what this trainer makes of our weights and batches."""
    shared = torch.load(Path(settings["scratch"], SHARED))
    return checked(make_trainer(settings, shared), shared)
