"""Every image of a data set, decoded and fitted once: uint8 in one memory-mapped file.

The file is a plain `.npy` of shape (N, resize_size, resize_size, in_chans). Its name is a hash
of what it was made from, so a changed image or setting makes another file and an old one can
never be taken for it. It appears under its name only when it is complete.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reslab.data.arrays import Pixels
from reslab.data.cache import make_room, only_builder, store_folder
from reslab.data.chunks import fit_all
from reslab.data.dataset import ArrayImages, Dataset, Images
from reslab.data.preprocess import Preprocess
from reslab.display.short import short_repr
from reslab.durable.cache import make_cache_folder
from reslab.errors import MachineError

FORMAT_VERSION = 1
Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Store:
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
        """Side of the stored images, pixels."""
        return int(self.pixels.shape[1])

    @property
    def in_chans(self) -> int:
        """Channels of the stored images."""
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

    def to(self, device: torch.device) -> Store:
        """Return a copy whose pixels are on another device."""
        return dataclasses.replace(self, pixels=self.pixels.to(device))

    def describe(self) -> str:
        """Say in one line where the images are."""
        what = f"{len(self):,} images of {self.resize_size}x{self.resize_size}"
        size = f"{self.num_bytes / 1e6:,.0f} MB"
        if self.path is None:
            return f"{what} in memory ({size})"
        return f"{what} in {self.path} ({size}, {'reused' if self.reused else 'new'})"


def store_bytes(images: Images, preprocess: Preprocess) -> int:
    """Return the size of the pixels that a store of these images holds."""
    return len(images) * preprocess.resize_size**2 * preprocess.in_chans


def open_store(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    cache: Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Store:
    """Map the store of a data set, after building it where it is not there yet.

    Args:
        dataset: the images of all splits.
        preprocess: how images are fitted; what comes after the fit does not matter here.
        cache: folder to keep stores in; None for the user's, see `durable.cache`.
        workers: threads or processes that decode; 0 for one a core.
        progress: called with (images done, images in all) while building.

    Raises:
        DataError: an image cannot be decoded; the message names it.
        MachineError: the disk is full or cannot be written. Nothing half-built stays behind.
    """
    images = dataset.images
    ready = in_memory(images, preprocess)
    if ready is not None:
        return Store(torch.from_numpy(ready))
    path = store_path(images, preprocess, cache)
    num_bytes = store_bytes(images, preprocess)
    if _is_complete(path, num_bytes):
        with contextlib.suppress(OSError):  # a cache shared by others, read-only to us
            os.utime(path)
        return Store(_map(path), path, reused=True)
    try:
        make_cache_folder("store", cache)
        with only_builder(path):
            reused = _is_complete(path, num_bytes)  # another process may have built it
            if not reused:
                make_room(path, num_bytes)
                _build(path, images, preprocess, workers, progress)
    except OSError as error:
        raise MachineError(
            f"cannot write the image store {path}: {error.strerror or error}",
            remedy="name a folder with room in the environment variable RESLAB_CACHE",
        ) from error
    return Store(_map(path), path, reused)


def in_memory(images: Images, preprocess: Preprocess) -> Pixels | None:
    """Return the pixels of images that need neither decoding nor fitting, else None."""
    size = preprocess.resize_size
    shape = (size, size) if preprocess.in_chans == 1 else (size, size, 3)
    if isinstance(images, ArrayImages) and images.pixels.shape[1:] == shape:
        pixels = images.pixels.reshape(len(images), size, size, preprocess.in_chans)
        return np.require(pixels, requirements=["C", "W"])
    return None


def store_path(images: Images, preprocess: Preprocess, cache: Path | None = None) -> Path:
    """Return the file that the store of these images is kept in, whether or not it exists."""
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
    return store_folder(cache) / f"{key}.npy"


def _is_complete(path: Path, num_bytes: int) -> bool:
    """Tell whether a store is there; one cut short by a crash of the machine is not."""
    try:
        return path.stat().st_size > num_bytes
    except OSError:
        return False


def _map(path: Path) -> Tensor:
    # Copy-on-write, because torch warns about memory that it may not write to.
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def _build(
    path: Path, images: Images, preprocess: Preprocess, workers: int, progress: Progress | None
) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            _write(file, images, preprocess, workers, progress)
            file.flush()
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
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    done = 0
    for chunk in fit_all(images, preprocess, workers):
        file.write(chunk.data)
        done += len(chunk)
        if progress is not None:
            progress(done, len(images))
