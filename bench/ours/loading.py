"""Our batches: files decoded once into a store, then whole batches as tensors."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.peers.loading import SHOWN_EVERY
from bench.session import Session
from reslab.data.augment import Augment
from reslab.data.image_cache import open_fitted, statistics
from reslab.data.loader import Batch, TrainLoader
from reslab.data.open import open_dataset
from reslab.data.preprocess import Preprocess
from reslab.data.sampler import Sampler
from reslab.data.split import complete_splits


def opened(settings: dict[str, Any], cache: Path) -> TrainLoader:
    """List the files, decode those that are not in the cache, measure mean and deviation."""
    found = open_dataset(Path(settings["data"], "train"))
    dataset = complete_splits(found, val_fraction=0.0, test_fraction=0.0, seed=0)
    size = settings["img_size"]
    fitted = Preprocess(img_size=size, resize_size=size)
    stored = open_fitted(dataset, fitted, cache=cache)
    train = dataset.split("train")
    measured = statistics(stored, train)
    return TrainLoader(
        stored,
        Sampler(train, 0),
        dataset.labels,
        Augment(pad_crop=settings["pad_crop"], flip=settings["flip"]),
        Preprocess(img_size=size, resize_size=size, mean=measured.mean, std=measured.std),
        seed=0,
        batch_size=settings["batch_size"],
    )


def epochs(loader: TrainLoader, number: int) -> Iterator[Batch]:
    """Yield the batches of some epochs through the thread that training uses."""
    steps = number * len(loader.sampler) // loader.batch_size
    return loader.prefetch(0, max(1, steps))


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Take epochs of batches: from nothing each time, or from the second epoch on."""
    session.mark("import_s")
    if settings["cold"]:
        session.ready()
        for _ in session.chunks():
            cache = Path(tempfile.mkdtemp(dir=settings["own"]))
            began = time.perf_counter()
            count = sum(len(batch) for batch in epochs(opened(settings, cache), 1))
            session.answer(count, time.perf_counter() - began)
            shutil.rmtree(cache)
        return
    loader = opened(settings, Path(settings["own"]))
    for batch in epochs(loader, 1):
        assert len(batch) == loader.batch_size
    session.ready()
    for units in session.chunks():
        began = time.perf_counter()
        count = sum(len(batch) for batch in epochs(loader, units))
        session.answer(count, time.perf_counter() - began)


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Count the images of the first epoch by class, and show pixels as they were decoded."""
    loader = opened(settings, Path(settings["own"]))
    num, size = len(loader.sampler), loader.batch_size
    batches = loader.prefetch(0, -(-num // size))
    labels = np.concatenate([batch.labels.numpy() for batch in batches])[:num]
    pixels = loader.fitted.gather(torch.arange(0, num, SHOWN_EVERY)).numpy()
    return {"images": num, "histogram": np.bincount(labels), "pixels": pixels}
