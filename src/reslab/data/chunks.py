"""Decode and fit many images at once: by threads, or by processes where the files are small.

Threads share what Pillow's decoders do without Python's lock. Of a small file that is less than
half of the work, so large numbers of files go to processes instead: each is a `Child` that runs
this module's `main`. It is sent its job, then [start, stop] for each chunk; it sends the chunk's
number of images, and the raw pixels, or the error of an image.
"""

from __future__ import annotations

import dataclasses
import queue
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from reslab.child import Child, ChildEnded, Parent
from reslab.data.ahead import in_order
from reslab.data.arrays import Pixels
from reslab.data.dataset import FileImages, Images
from reslab.data.preprocess import Preprocess, fit, fit_file
from reslab.errors import DataError, MachineError
from reslab.machine import available_cores

_CHUNK_BYTES = 4 << 20
_CHUNK_IMAGES = 256
# Starting a process takes about a quarter of a second of a core.
_MIN_FILES_FOR_PROCESSES = 8_192


def fit_image(images: Images, index: int, preprocess: Preprocess) -> Pixels:
    """Decode and fit one image, as its preprocessing says."""
    if isinstance(images, FileImages):
        return fit_file(images.name(index), preprocess)
    return fit(images.read(index), preprocess)


def fit_range(images: Images, start: int, stop: int, preprocess: Preprocess) -> Pixels:
    """Decode and fit the images start .. stop - 1: uint8 (n, resize_size, resize_size, C)."""
    size = preprocess.resize_size
    pixels = np.empty((stop - start, size, size, preprocess.in_chans), np.uint8)
    for index in range(start, stop):
        pixels[index - start] = fit_image(images, index, preprocess)
    return pixels


def fit_all(images: Images, preprocess: Preprocess, workers: int = 0) -> Iterator[Pixels]:
    """Yield all images, decoded and fitted, as chunks in their order.

    Args:
        images: what to read.
        preprocess: how to fit.
        workers: threads or processes; 0 for one a core.

    Raises:
        DataError: the first image that cannot be decoded; the message names it.
        MachineError: a decoding process ended unexpectedly.
    """
    workers = workers or available_cores()
    image_bytes = preprocess.resize_size**2 * preprocess.in_chans
    step = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // image_bytes))
    by_processes = workers > 1 and bool(sys.executable) and len(images) >= _MIN_FILES_FOR_PROCESSES
    reader: _Reader
    if isinstance(images, FileImages) and by_processes:
        reader = _Processes(images, preprocess, workers)
    else:
        reader = _Threads(images, preprocess)
    with reader, ThreadPoolExecutor(workers, thread_name_prefix="reslab-decode") as pool:
        starts = range(0, len(images), step)
        yield from in_order(
            pool,
            lambda start: reader.read(start, min(start + step, len(images))),
            starts,
            2 * workers,
        )


class _Reader(Protocol):
    def read(self, start: int, stop: int) -> Pixels: ...

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@dataclasses.dataclass(frozen=True)
class _Threads:
    """Decode in the thread that asks."""

    images: Images
    preprocess: Preprocess

    def read(self, start: int, stop: int) -> Pixels:
        return fit_range(self.images, start, stop, self.preprocess)

    def __enter__(self) -> _Threads:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Processes:
    """Decode in idle processes; any thread may ask."""

    def __init__(self, images: FileImages, preprocess: Preprocess, workers: int) -> None:
        fields = {**preprocess.to_json(), "mean_image": False}
        self._job = {"root": str(images.root), "paths": images.paths, "preprocess": fields}
        size = preprocess.resize_size
        self._shape = (size, size, preprocess.in_chans)
        self._count = workers
        self._idle: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._all: list[Child] = []
        self._know_the_job: set[Child] = set()

    def __enter__(self) -> _Processes:
        for _ in range(self._count):
            process = Child(__name__)
            self._all.append(process)
            self._idle.put(process)
        return self

    def read(self, start: int, stop: int) -> Pixels:
        process = self._idle.get()
        try:
            return self._ask(process, start, stop)
        except ChildEnded as error:
            raise MachineError(
                f"decoding images failed: {error}",
                remedy="free some memory, or use --workers 1",
            ) from None
        finally:
            self._idle.put(process)

    def _ask(self, process: Child, start: int, stop: int) -> Pixels:
        if process not in self._know_the_job:
            process.send(self._job)
            self._know_the_job.add(process)
        process.send([start, stop])
        process.recv()  # raises what the process could not decode
        pixels = np.empty((stop - start, *self._shape), np.uint8)
        process.recv_into(pixels.data.cast("B"))
        return pixels

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.kill()


def main(parent: Parent) -> int:
    """Do the job of one process."""
    job = parent.recv()
    images = FileImages(Path(job["root"]), tuple(job["paths"]))
    preprocess = Preprocess.from_json(job["preprocess"])
    for start, stop in parent:
        try:
            pixels = fit_range(images, start, stop, preprocess)
        except DataError as error:
            parent.send_error(error)
        else:
            parent.send(len(pixels), pixels.data.cast("B"))
    return 0
