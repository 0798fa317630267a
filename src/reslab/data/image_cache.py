"""Every image of a data set, decoded and fitted once: uint8 in one memory-mapped file.

The file is a plain `.npy` of shape (N, resize_size, resize_size, in_chans). Its name is a hash
of what it was made from, so a changed image or setting makes another file and an old one can
never be taken for it. It appears under its name only when it is complete. Data sets that are too
large for that are decoded as they are needed (`ImageStream`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reslab.data.arrays import Indices, Pixels
from reslab.data.dataset import ArrayImages, Dataset, Images
from reslab.data.preprocess import Preprocess, fit_all, fit_image
from reslab.display.short import short_repr
from reslab.durable.cache import cache_folder, make_cache_folder
from reslab.errors import DataError, MachineError
from reslab.machine import available_cores

Progress = Callable[[int, int], None]
FORMAT_VERSION = 1
_FOLDER = "store"  # of the cache folder; the name that earlier versions gave it
RESIDENT_SHARE = 0.4  # of the memory that is free on a GPU


class FittedImages(Protocol):
    """All images of a data set, fitted to one size, by number."""

    def __len__(self) -> int: ...

    @property
    def resize_size(self) -> int:
        """Side of the images, pixels."""
        ...

    @property
    def in_chans(self) -> int:
        """Channels of the images."""
        ...

    @property
    def num_bytes(self) -> int:
        """Size of all images together."""
        ...

    @property
    def device(self) -> torch.device:
        """Where `gather` puts its result."""
        ...

    def gather(self, samples: Tensor) -> Tensor:
        """Return images by number: uint8, (B, resize_size, resize_size, in_chans)."""
        ...

    def describe(self) -> str:
        """Say in one line where the images are."""
        ...


def open_fitted(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    cache: Path | None = None,
    workers: int = 0,
    limit_bytes: int | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> FittedImages:
    """Open the image cache of a data set, or a stream where it would not fit on the disk.

    Args:
        dataset: the images of all splits.
        preprocess: how images are fitted.
        cache: folder to keep it in; None for the user's, see `durable.cache`.
        workers: threads or processes that decode; 0 for one a core.
        limit_bytes: the largest file to make; None for half of what the disk has free.
        device: where batches are wanted; cached images move to a GPU that has room for it.
        progress: called with (images done, images in all) while the cache is built.
        note: called with one line that says where the images are, and why.

    Raises:
        DataError: an image cannot be decoded; the message names it.
    """
    fitted = _open(dataset, preprocess, cache, workers, limit_bytes, progress)
    if note is not None:
        note(fitted.describe())
    return fitted if device is None else resident(fitted, device)


def _open(
    dataset: Dataset,
    preprocess: Preprocess,
    cache: Path | None,
    workers: int,
    limit_bytes: int | None,
    progress: Progress | None,
) -> FittedImages:
    reason = why_stream(dataset, preprocess, cache=cache, limit_bytes=limit_bytes)
    if not reason:
        try:
            return open_image_cache(
                dataset, preprocess, cache=cache, workers=workers, progress=progress
            )
        except MachineError as error:
            reason = error.message
    return ImageStream(dataset.images, preprocess, workers=workers, reason=reason)


def why_stream(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    cache: Path | None = None,
    limit_bytes: int | None = None,
) -> str:
    """Say in one line why a data set has to stream, or nothing where a cache is right."""
    images = dataset.images
    if in_memory(images, preprocess) is not None:
        return ""
    needed = cache_bytes(images, preprocess)
    folder = image_cache_folder(cache)
    limit = free_bytes(folder) // 2 if limit_bytes is None else limit_bytes
    if needed <= limit or cache_path(images, preprocess, cache).is_file():
        return ""
    whose = f"half of the space free at {folder}" if limit_bytes is None else "the limit"
    return f"an image cache would take {needed / 1e6:,.0f} MB, {whose} is {limit / 1e6:,.0f} MB"


def resident(
    fitted: FittedImages, device: torch.device, share: float = RESIDENT_SHARE
) -> FittedImages:
    """Move cached images to a GPU where they take no more than a share of its free memory."""
    if device.type != "cuda" or not isinstance(fitted, ImageCache) or fitted.device == device:
        return fitted
    free, _ = torch.cuda.mem_get_info(device)
    return fitted.to(device) if fitted.num_bytes <= share * free else fitted


# --- the cache: one file a data set and size ------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ImageCache:
    """All images of a data set at one size, ready to be gathered.

    Args:
        pixels: uint8, (N, resize_size, resize_size, in_chans).
        path: the file that is mapped; None where the images were in memory already.
        reused: whether the file was there before.
    """

    pixels: Tensor
    path: Path | None = None
    reused: bool = False

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def resize_size(self) -> int:
        """Side of the cached images, pixels."""
        return int(self.pixels.shape[1])

    @property
    def in_chans(self) -> int:
        """Channels of the cached images."""
        return int(self.pixels.shape[3])

    @property
    def num_bytes(self) -> int:
        """Size of all pixels together."""
        return self.pixels.numel()

    @property
    def device(self) -> torch.device:
        """Where the pixels are, and where `gather` puts its result."""
        return self.pixels.device

    def gather(self, samples: Tensor) -> Tensor:
        """Return images by number: uint8, (B, resize_size, resize_size, in_chans)."""
        return self.pixels.index_select(0, samples.to(self.pixels.device))

    def to(self, device: torch.device) -> ImageCache:
        """Return a copy whose pixels are on another device."""
        return dataclasses.replace(self, pixels=self.pixels.to(device))

    def describe(self) -> str:
        """Say in one line where the images are."""
        what = f"{len(self):,} images of {self.resize_size}x{self.resize_size}"
        size = f"{self.num_bytes / 1e6:,.0f} MB"
        if self.path is None:
            return f"{what} in memory ({size})"
        return f"{what} in {self.path} ({size}, {'reused' if self.reused else 'new'})"


def cache_bytes(images: Images, preprocess: Preprocess) -> int:
    """Return the size of the pixels that a cache of these images holds."""
    return len(images) * preprocess.resize_size**2 * preprocess.in_chans


def open_image_cache(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    cache: Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> ImageCache:
    """Map the image cache of a data set, after building it where it is not there yet.

    Args:
        dataset: the images of all splits.
        preprocess: how images are fitted; what comes after the fit does not matter here.
        cache: folder to keep it in; None for the user's, see `durable.cache`.
        workers: threads or processes that decode; 0 for one a core.
        progress: called with (images done, images in all) while building.

    Raises:
        DataError: an image cannot be decoded; the message names it.
        MachineError: the disk is full or cannot be written. Nothing half-built stays behind.
    """
    images = dataset.images
    ready = in_memory(images, preprocess)
    if ready is not None:
        return ImageCache(torch.from_numpy(ready))
    path = cache_path(images, preprocess, cache)
    num_bytes = cache_bytes(images, preprocess)
    if _is_complete(path, num_bytes):
        with contextlib.suppress(OSError):  # a cache shared by others, read-only to us
            os.utime(path)
        return ImageCache(_map(path), path, reused=True)
    try:
        make_cache_folder(_FOLDER, cache)
        with only_builder(path):
            reused = _is_complete(path, num_bytes)  # another process may have built it
            if not reused:
                make_room(path, num_bytes)
                _build(path, images, preprocess, workers, progress)
    except OSError as error:
        raise MachineError(
            f"cannot write the image cache {path}: {error.strerror or error}",
            remedy="name a folder with room in the environment variable RESLAB_CACHE",
        ) from error
    return ImageCache(_map(path), path, reused)


def in_memory(images: Images, preprocess: Preprocess) -> Pixels | None:
    """Return the pixels of images that need neither decoding nor fitting, else None."""
    size = preprocess.resize_size
    shape = (size, size) if preprocess.in_chans == 1 else (size, size, 3)
    if isinstance(images, ArrayImages) and images.pixels.shape[1:] == shape:
        pixels = images.pixels.reshape(len(images), size, size, preprocess.in_chans)
        return np.require(pixels, requirements=["C", "W"])
    return None


def cache_path(images: Images, preprocess: Preprocess, cache: Path | None = None) -> Path:
    """Return the file that these images are cached in, whether or not it exists."""
    parts: tuple[object, ...] = (
        FORMAT_VERSION,
        images.identity(),
        len(images),
        preprocess.resize_size,
        preprocess.in_chans,
        preprocess.resize,
        preprocess.interpolation,
    )
    if preprocess.decoding > 1:  # without this part the name is that of earlier versions
        parts += (f"decoding {preprocess.decoding}", preprocess.bit_depth)
    key = hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]
    return image_cache_folder(cache) / f"{key}.npy"


def _is_complete(path: Path, num_bytes: int) -> bool:
    """Tell whether a cache is there; one cut short by a crash of the machine is not."""
    # The header comes on top of the pixels, so a whole file is always larger than they are.
    try:
        return path.stat().st_size > num_bytes
    except OSError:
        return False


def _map(path: Path) -> Tensor:
    # Copy-on-write, because torch warns about memory that it may not write to.
    # Nothing is read now: pages come from the disk, or from what the system keeps of it, when a
    # batch gathers them, and all processes of a machine share them.
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def _build(
    path: Path, images: Images, preprocess: Preprocess, workers: int, progress: Progress | None
) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            _write(file, images, preprocess, workers, progress)
            file.flush()
            # Before the rename: else a crash of the machine may leave the name without the data.
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(
    file: io.BufferedWriter,
    images: Images,
    preprocess: Preprocess,
    workers: int,
    progress: Progress | None,
) -> None:
    size, channels = preprocess.resize_size, preprocess.in_chans
    shape = (len(images), size, size, channels)
    # Images lie one after the other, channels last: gathering one is a single copy of its bytes.
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    done = 0
    for chunk in fit_all(images, preprocess, workers):
        file.write(chunk.data)
        done += len(chunk)
        if progress is not None:
            progress(done, len(images))


# --- the stream: images decoded when they are asked for -------------------------------------------


class ImageStream:
    """All images of a data set, read from their files each time.

    Args:
        images: what to read.
        preprocess: how to fit.
        workers: threads that decode; 0 for one a core.
        reason: why there is no cache, for people.
    """

    def __init__(
        self, images: Images, preprocess: Preprocess, *, workers: int = 0, reason: str = ""
    ) -> None:
        self.images = images
        self.preprocess = preprocess
        self.workers = workers or available_cores()
        self.reason = reason
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="reslab-decode")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def resize_size(self) -> int:
        """Side of the images, pixels."""
        return self.preprocess.resize_size

    @property
    def in_chans(self) -> int:
        """Channels of the images."""
        return self.preprocess.in_chans

    @property
    def num_bytes(self) -> int:
        """Size of all images together, if they were in memory."""
        return len(self) * self.resize_size**2 * self.in_chans

    @property
    def device(self) -> torch.device:
        """Where `gather` puts its result."""
        return torch.device("cpu")

    def gather(self, samples: Tensor) -> Tensor:
        """Decode images by number: uint8, (B, resize_size, resize_size, in_chans).

        Raises:
            DataError: an image cannot be decoded; the message names it.
        """
        size = self.resize_size
        pixels = np.empty((len(samples), size, size, self.in_chans), np.uint8)

        def read(place: int, index: int) -> None:
            pixels[place] = fit_image(self.images, index, self.preprocess)

        numbers = samples.tolist()
        for _ in self._pool.map(read, range(len(numbers)), numbers):
            pass
        return torch.from_numpy(pixels)

    def describe(self) -> str:
        """Say in one line where the images come from, and why."""
        what = f"{len(self):,} images of {self.resize_size}x{self.resize_size}"
        return f"{what} decoded from their files as they are needed: {self.reason}"


# --- the folder of the caches: who may build, what may go, how much room there is -----------------


_SPARE_BYTES = 64 << 20
_ABANDONED_S = 24 * 3600


def image_cache_folder(cache: Path | None = None) -> Path:
    """Return the folder of the image caches, below `durable.cache.cache_root`."""
    return cache_folder(_FOLDER, cache)


def free_bytes(folder: Path) -> int:
    """Return the room on the disk that a folder is on, or would be on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def prune(limit_bytes: int, cache: Path | None = None) -> int:
    """Remove the least recently used caches until the rest fits; return the bytes freed.

    Args:
        limit_bytes: how much may stay.
        cache: the folder that was given to `open_image_cache`.
    """
    found = []
    for path in image_cache_folder(cache).glob("*.npy"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in found)
    freed = 0
    for _, size, path in sorted(found):
        if total - freed <= limit_bytes:
            break
        path.unlink(missing_ok=True)
        freed += size
    return freed


def make_room(path: Path, num_bytes: int) -> None:
    """Remove what dead builders left, and old caches if the disk needs them gone.

    Raises:
        OSError: there is not enough room even so.
    """
    folder = path.parent
    for left in folder.glob("*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()
    missing = num_bytes + _SPARE_BYTES - free_bytes(folder)
    if missing > 0:
        total = sum(file.stat().st_size for file in folder.glob("*.npy"))
        if total < missing:
            raise OSError(
                f"{num_bytes / 1e6:,.0f} MB are needed, {free_bytes(folder) / 1e6:,.0f} are free"
            )
        prune(total - missing, folder.parent)


@contextlib.contextmanager
def only_builder(path: Path) -> Iterator[None]:
    """Wait until no other process builds this cache; the system frees the lock of the dead."""
    lock = path.with_suffix(".lock")
    while True:
        with lock.open("wb") as file:
            locked = True
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:  # a file system without locks
                locked = False
            if locked and not _is_same(file.fileno(), lock):
                continue  # the holder before removed it, and another may hold a new one
            if locked:
                for left in path.parent.glob(f"{path.stem}.*.tmp"):
                    left.unlink(missing_ok=True)
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


# --- mean and spread of the training images, for normalization ------------------------------------


# A float32 holds the sum of up to 258 squares of bytes exactly: 258 * 255^2 < 2^24.
_SUMMED_AT_ONCE = 256
_LEAST_STD = 1 / 255


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What `Preprocess` needs to know of the training images.

    Args:
        mean: of each channel, in [0, 1].
        std: of each channel, in [0, 1]; at least one grey level, so that it divides.
        mean_image: of each pixel, (resize_size, resize_size, in_chans), in [0, 1].
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    mean_image: npt.NDArray[np.float32]

    __repr__ = short_repr


def statistics(fitted: FittedImages, samples: Indices | Tensor) -> Statistics:
    """Compute mean, standard deviation and mean image over some images, exactly.

    Args:
        fitted: the images.
        samples: numbers of the images to look at: those of the training split.

    Raises:
        DataError: there are no images.
    """
    if not len(samples):
        raise DataError("the training split is empty")
    shape = (fitted.resize_size, fitted.resize_size, fitted.in_chans)
    total = torch.zeros(math.prod(shape), dtype=torch.float64, device=fitted.device)
    squares = torch.zeros_like(total)
    exact = torch.float64 if fitted.device.type == "cuda" else torch.float32  # never TF32
    for part in torch.as_tensor(samples, dtype=torch.int64).split(_SUMMED_AT_ONCE):
        pixels = fitted.gather(part).flatten(1).to(exact)
        ones = torch.ones(len(part), dtype=exact, device=fitted.device)
        total += ones @ pixels
        squares += ones @ pixels.square_()
    count = len(samples)
    mean = total.view(shape).mean(dim=(0, 1)) / count
    variance = squares.view(shape).mean(dim=(0, 1)) / count - mean.square()
    std = variance.clamp(min=0).sqrt() / 255
    return Statistics(
        mean=tuple((mean / 255).tolist()),
        std=tuple(std.clamp(min=_LEAST_STD).tolist()),
        mean_image=(total / count / 255).float().view(shape).cpu().numpy(),
    )
