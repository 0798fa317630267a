"""An epoch of batches from JPEG files by hand: decoded once by all cores, then cut in memory."""

from __future__ import annotations

import itertools
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.peers.epochs import MEAN, STD
from bench.peers.loading import SHOWN_EVERY, Batches, files, views
from bench.session import Session

Pixels = np.ndarray[Any, Any]


def decoded(paths: list[Path]) -> Pixels:
    """Decode some files."""
    pixels = []
    for path in paths:
        with Image.open(path) as image:
            pixels.append(np.asarray(image.convert("RGB")))
    return np.stack(pixels)


def opened(settings: dict[str, Any]) -> tuple[Pixels, Pixels]:
    """Decode every training image, in as many processes as there are cores."""
    paths, labels = files(Path(settings["data"], "train"))
    workers = os.cpu_count() or 1
    share = -(-len(paths) // workers)
    with ProcessPoolExecutor(workers) as pool:
        starts = range(0, len(paths), share)
        parts = list(pool.map(decoded, [paths[i : i + share] for i in starts]))
    return np.concatenate(parts), np.array(labels)


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Take epochs of batches: from nothing each time, or from the second epoch on."""
    session.mark("import_s")
    pixels, labels = opened(settings)
    steps = len(labels) // settings["batch_size"]
    batches = views(pixels, labels, settings, MEAN, STD)
    take(batches, steps)
    session.ready(torch=torch.__version__)
    for units in session.chunks():
        count, began = 0, time.perf_counter()
        if settings["cold"]:
            batches = views(*opened(settings), settings, MEAN, STD)
        for _ in range(units):
            count += take(batches, steps)
        session.answer(count, time.perf_counter() - began)


def take(batches: Batches, steps: int) -> int:
    """Take an epoch; returns its images."""
    return sum(len(labels) for _, labels in itertools.islice(batches, steps))


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Count the images of an epoch by class, and show pixels as they were decoded."""
    pixels, labels = opened(settings)
    shown = pixels[::SHOWN_EVERY]
    return {"images": len(labels), "histogram": np.bincount(labels), "pixels": shown}
