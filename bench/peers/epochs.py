"""An epoch of batches from JPEG files as PyTorch's users take it: ImageFolder and DataLoader."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from bench.peers.loading import SHOWN_EVERY, transforms
from bench.peers.operators import declare
from bench.session import Session

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def opened(settings: dict[str, Any]) -> DataLoader[Any]:
    """List the files; each is decoded when its turn comes, in every epoch."""
    declare()
    from torchvision.datasets import ImageFolder

    dataset = ImageFolder(str(Path(settings["data"], "train")), transforms(settings, MEAN, STD))
    return DataLoader(dataset, settings["batch_size"], shuffle=True, num_workers=2)


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Take epochs of batches; listing the files counts where it is cold."""
    session.mark("import_s")
    loader = opened(settings)
    session.ready(torch=torch.__version__)
    for units in session.chunks():
        count, began = 0, time.perf_counter()
        for _ in range(units):
            if settings["cold"]:
                loader = opened(settings)
            count += sum(len(labels) for _, labels in loader)
        session.answer(count, time.perf_counter() - began)


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Count the images of an epoch by class, and show pixels as they were decoded."""
    loader = opened(settings)
    labels = np.concatenate([labels.numpy() for _, labels in loader])
    paths = [path for path, _ in loader.dataset.samples][::SHOWN_EVERY]
    pixels = np.stack([np.asarray(loader.dataset.loader(path)) for path in paths])
    return {"images": len(labels), "histogram": np.bincount(labels), "pixels": pixels}
