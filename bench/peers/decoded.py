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

from bench.peers.epochs import MEAN, STD
from bench.peers.loading import SHOWN_EVERY, Batches, files, pixels_of, views
from bench.session import Session

Pixels = np.ndarray[Any, Any]


def opened(settings: dict[str, Any]) -> tuple[Pixels, Pixels]:
    """Decode every training image, in as many processes as there are cores."""
    paths, labels = files(Path(settings["data"], "train"))
    workers = os.cpu_count() or 1
    share = -(-len(paths) // workers)
    with ProcessPoolExecutor(workers) as pool:
        starts = range(0, len(paths), share)
        parts = list(pool.map(pixels_of, [paths[i : i + share] for i in starts]))
    return np.concatenate(parts), np.array(labels)


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Take epochs of batches: from nothing each time, or from the second epoch on."""
    session.mark("import_s")
    steps = len(files(Path(settings["data"], "train"))[0]) // settings["batch_size"]
    if settings["cold"]:
        session.ready(torch=torch.__version__)
        for units in session.chunks():
            began = time.perf_counter()
            count = sum(epoch(batches_of(settings), steps) for _ in range(units))
            session.answer(count, time.perf_counter() - began)
        return
    batches = batches_of(settings)
    epoch(batches, steps)
    session.ready(torch=torch.__version__)
    for units in session.chunks():
        began = time.perf_counter()
        count = sum(epoch(batches, steps) for _ in range(units))
        session.answer(count, time.perf_counter() - began)


def batches_of(settings: dict[str, Any]) -> Batches:
    """Decode everything; yield batches from then on."""
    return views(*opened(settings), settings, MEAN, STD)


def epoch(batches: Batches, steps: int) -> int:
    """Take an epoch; returns its images."""
    return sum(len(labels) for _, labels in itertools.islice(batches, steps))


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Count the images of an epoch by class, and show pixels as they were decoded."""
    pixels, labels = opened(settings)
    shown = pixels[::SHOWN_EVERY]
    return {"images": len(labels), "histogram": np.bincount(labels), "pixels": shown}
