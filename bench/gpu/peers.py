"""Trainers for a GPU as PyTorch's users write them: plain, or with everything tuned by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench.gpu.device import exact_convolutions, gpu_peak_mib, wait
from bench.peers.akamaster import ResNet
from bench.peers.loading import Batches, decoded, endless
from bench.peers.plain_resnet import ResNet50
from bench.peers.trainer import Trainer, checked
from bench.session import CHECK_RATE, CHECKED, SHARED, Session
from bench.worker import save

WORKERS = 4  # akamaster's default


def make_trainer(settings: dict[str, Any], shared: dict[str, Any]) -> Trainer:
    """Return the arm's trainer with the weights that our arm has written."""
    name, tuned = settings["their_network"], bool(settings.get("tuned"))
    network: nn.Module = (
        ResNet50(10) if name == "resnet50" else ResNet(int(name.removeprefix("resnet")), 10)
    )
    network.load_state_dict(shared["weights"])
    torch.backends.cudnn.benchmark = tuned
    compiled = tuned and not settings["quick"]
    device = torch.device(settings["device"])
    return Trainer(network, rate=CHECK_RATE, tuned=tuned, compiled=compiled, device=device)


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Say what the first updates compute, then train for as long as each chunk says."""
    session.mark("import_s")
    shared = torch.load(Path(settings["scratch"], SHARED), mmap=True)
    trainer = make_trainer(settings, shared)
    with exact_convolutions():
        save(Path(settings["own"]) / CHECKED, checked(trainer, shared))
    session.mark("first_step_s")
    batches = make_batches(settings, shared, trainer.device)
    for _ in range(settings["warm_up"]):
        trainer.step(*next(batches))
    wait(trainer.device)
    session.ready(torch=torch.__version__)
    for units in session.chunks():
        count, began = 0, time.perf_counter()
        for _ in range(units):
            images, labels = next(batches)
            trainer.step(images, labels)
            count += len(labels)
        wait(trainer.device)
        seconds = time.perf_counter() - began
        session.answer(count, seconds, gpu_peak_mib=gpu_peak_mib(trainer.device))


def make_batches(settings: dict[str, Any], shared: dict[str, Any], device: torch.device) -> Batches:
    """Return the arm's batches: ready on the device, made there, or torch's loader's."""
    if not settings["pad_crop"]:
        return _ready(shared, device)
    pixels, labels = decoded(Path(settings["originals"], "train"))
    copies = int(settings["copies"])
    pixels, labels = np.tile(pixels, (copies, 1, 1, 1)), np.tile(labels, copies)
    mean, std = torch.tensor(shared["mean"]), torch.tensor(shared["std"])
    if settings.get("tuned"):
        return _on_device(settings, pixels, labels, mean, std, device)
    views = OneByOne(pixels, labels, settings, mean, std)
    return endless(
        DataLoader(
            views,
            batch_size=settings["batch_size"],
            shuffle=True,
            num_workers=0 if settings["quick"] else WORKERS,
            persistent_workers=not settings["quick"],
            pin_memory=device.type == "cuda",
            drop_last=True,
        )
    )


def _ready(shared: dict[str, Any], device: torch.device) -> Batches:
    images = [b.to(device).contiguous(memory_format=torch.channels_last) for b in shared["images"]]
    labels = [b.to(device) for b in shared["labels"]]
    while True:
        yield from zip(images, labels, strict=True)


def _on_device(
    settings: dict[str, Any],
    pixels: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    mean: Tensor,
    std: Tensor,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut, mirror and normalise whole batches by one indexing of images that lie on the device."""
    pad, size, batch = settings["pad_crop"], settings["img_size"], settings["batch_size"]
    padded = F.pad(torch.from_numpy(pixels).to(device), (0, 0, pad, pad, pad, pad))
    targets = torch.from_numpy(labels).to(device)
    scale, shift = (1 / (255 * std)).to(device), (mean / std).to(device)
    along = torch.arange(size, device=device)
    while True:
        order = torch.randperm(len(targets), device=device)
        for index in order[: len(order) // batch * batch].split(batch):
            y = torch.randint(0, 2 * pad + 1, (batch, 1), device=device) + along
            x = torch.randint(0, 2 * pad + 1, (batch, 1), device=device)
            mirrored = torch.rand(batch, 1, device=device) < 0.5
            x = x + torch.where(mirrored, size - 1 - along, along)
            views = padded[index[:, None, None], y[:, :, None], x[:, None, :]]
            yield (views * scale - shift).permute(0, 3, 1, 2), targets[index]


class OneByOne(Dataset[Any]):
    """An image at a time with Pillow: RandomCrop, RandomHorizontalFlip, ToTensor, Normalize."""

    def __init__(
        self,
        pixels: np.ndarray[Any, Any],
        labels: np.ndarray[Any, Any],
        settings: dict[str, Any],
        mean: Tensor,
        std: Tensor,
    ) -> None:
        self.pixels, self.labels = pixels, labels
        self.pad, self.size = settings["pad_crop"], settings["img_size"]
        self.mean, self.std = mean[:, None, None], std[:, None, None]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = ImageOps.expand(Image.fromarray(self.pixels[index]), self.pad)
        left, top = torch.randint(0, 2 * self.pad + 1, (2,)).tolist()
        image = image.crop((left, top, left + self.size, top + self.size))
        if torch.rand(1) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        chw = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return chw.float().div_(255).sub_(self.mean).div_(self.std), int(self.labels[index])
