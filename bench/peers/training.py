"""Trainers as PyTorch's users write them, plain or tuned."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.peers import loading
from bench.peers.networks import make
from bench.session import Session

CHECK_RATE = 0.01


class Trainer:
    """One network with its optimizer, in float32 or bf16.

    Args:
        settings: of the case and the arm.
        shared: weights and batches that our arm has written.
        rate: learning rate.
    """

    def __init__(self, settings: dict[str, Any], shared: dict[str, Any], rate: float) -> None:
        self.tuned = bool(settings.get("bf16"))
        self.network = make(settings["library"], settings["their_network"], 10)
        self.network.load_state_dict(shared["weights"])
        if self.tuned:
            self.network = self.network.to(memory_format=torch.channels_last)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            rate,
            momentum=0.9,
            weight_decay=1e-4,
            fused=True if self.tuned else None,
        )
        self.network.train()
        self.forward: Any = torch.compile(self.network) if settings.get("compile") else self.network

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Take one update; as found, the loss and the accuracy are also read each time."""
        if not self.tuned:
            output = self.forward(images)
            loss = self.criterion(output, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss.item()
            (output.detach().topk(1).indices.squeeze(1) == labels).float().sum().item()
            return loss
        with torch.autocast("cpu", torch.bfloat16):
            output = self.forward(images.contiguous(memory_format=torch.channels_last))
            loss = self.criterion(output, labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Train for as many steps as each chunk has."""
    session.mark("import_s")
    shared = torch.load(Path(settings["scratch"], "shared.pt"))
    trainer = Trainer(settings, shared, rate=0.1)
    batches = make_batches(settings, shared)
    for number in range(settings["warm_up"]):
        trainer.step(*next(batches))
        if number == 0:
            session.mark("first_step_s")
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
        return loading.resident(settings, shared, bool(settings.get("bf16")))
    del shared["images"]
    if settings["loader"] == "batched":
        return loading.batched(settings, mean, std)
    views = loading.transforms(settings, mean, std)
    dataset = loading.ImagesInMemory(Path(settings["data"], "train"), views)
    return loading.endless(loading.data_loader(dataset, settings["batch_size"]))


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Say what this trainer makes of our weights and batches."""
    shared = torch.load(Path(settings["scratch"], "shared.pt"))
    trainer = Trainer(settings, shared, CHECK_RATE)
    trainer.network.eval()
    with torch.no_grad():
        logits = trainer.network(shared["images"][0][:8])
    trainer.network.train()
    steps = zip(shared["images"], shared["labels"], strict=True)
    losses = [float(trainer.step(*batch).detach()) for batch in steps]
    return {
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "logits": logits.numpy(),
        "losses": losses,
    }
