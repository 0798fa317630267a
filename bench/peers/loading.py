"""Batches as PyTorch's users make them: an image at a time, or (tuned) a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.peers.operators import declare

SHOWN_EVERY = 97  # of the training files in order, one is compared pixel by pixel
Batches = Iterator[tuple[Tensor, Tensor]]


class ImagesInMemory(Dataset[Any]):
    """What `torchvision.datasets.CIFAR10` is: an array, and a Pillow image made of each item."""

    def __init__(self, folder: Path, transform: Any) -> None:
        self.pixels, self.labels = decoded(folder)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), int(self.labels[index])


def files(folder: Path) -> tuple[list[Path], list[int]]:
    """List the images of a folder of class folders, and their labels."""
    paths: list[Path] = []
    labels: list[int] = []
    for label, place in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        found = sorted(place.iterdir())
        paths += found
        labels += [label] * len(found)
    return paths, labels


def decoded(folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Decode the images of a folder of class folders."""
    paths, labels = files(folder)
    return pixels_of(paths), np.array(labels)


def pixels_of(paths: list[Path]) -> np.ndarray[Any, Any]:
    """Decode some files of one size."""
    pixels = []
    for path in paths:
        with Image.open(path) as image:
            pixels.append(np.asarray(image.convert("RGB")))
    return np.stack(pixels)


def transforms(settings: dict[str, Any], mean: Any, std: Any) -> Any:
    """Return torchvision's transforms: crop of the padded image, flip, tensor, normalise."""
    declare()
    from torchvision import transforms as T

    steps: list[Any] = []
    if settings["pad_crop"]:
        steps.append(T.RandomCrop(settings["img_size"], settings["pad_crop"]))
    if settings["flip"]:
        steps.append(T.RandomHorizontalFlip())
    return T.Compose([*steps, T.ToTensor(), T.Normalize(mean, std)])


def data_loader(dataset: Dataset[Any], batch_size: int, workers: int = 2) -> DataLoader[Any]:
    """Return torch's loader as everyone sets it up."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        drop_last=True,
    )


def endless(loader: DataLoader[Any]) -> Batches:
    """Yield batches, epoch after epoch."""
    while True:
        yield from loader


def batched(settings: dict[str, Any], mean: Any, std: Any) -> Batches:
    """Yield batches cut, mirrored and normalised as one tensor: what who tunes would write.

    The padded images are made once; crop and flip of a whole batch are one indexing of them,
    which leaves the channels last.
    """
    pixels, labels = decoded(Path(settings["data"], "train"))
    yield from views(pixels, labels, settings, mean, std)


def views(
    pixels: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    settings: dict[str, Any],
    mean: Any,
    std: Any,
) -> Batches:
    """Yield the batches of `batched` from images that are decoded already."""
    pad, size, batch = settings["pad_crop"], settings["img_size"], settings["batch_size"]
    padded = F.pad(torch.from_numpy(pixels), (0, 0, pad, pad, pad, pad))
    targets = torch.from_numpy(labels)
    scale = 1 / (255 * torch.tensor(std))
    shift = torch.tensor(mean) / torch.tensor(std)
    along = torch.arange(size)
    while True:
        order = torch.randperm(len(targets))
        for index in order[: len(order) // batch * batch].split(batch):
            y = torch.randint(0, 2 * pad + 1, (batch, 1)) + along
            x = torch.randint(0, 2 * pad + 1, (batch, 1))
            mirrored = torch.rand(batch, 1) < (0.5 if settings["flip"] else 0.0)
            x = x + torch.where(mirrored, size - 1 - along, along)
            views = padded[index[:, None, None], y[:, :, None], x[:, None, :]]
            yield (views * scale - shift).permute(0, 3, 1, 2), targets[index]


def resident(settings: dict[str, Any], shared: dict[str, Any], channels_last: bool) -> Batches:
    """Yield batches that lie ready in memory, normalised: loading costs nothing."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = [batch.contiguous(memory_format=layout) for batch in shared["images"]]
    while True:
        yield from zip(images, shared["labels"], strict=True)
