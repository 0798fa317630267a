"""Every image of a data set, decoded and fitted once: uint8 in one memory-mapped file.

The file is a plain `.npy` of shape (N, resize_size, resize_size, in_chans). Its name is a hash
of what it was made from, so a changed image or setting makes another file and an old one can
never be taken for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reslab.data.dataset import ArrayImages, Dataset, Images, Pixels
from reslab.data.preprocess import Preprocess, fit
from reslab.errors import MachineError

FORMAT_VERSION = 1
_CHUNK = 256
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


def cache_folder(cache: Path | None = None) -> Path:
    """Return the folder of the stores: the one given, $RESLAB_CACHE or ~/.cache/reslab."""
    root = cache or os.environ.get("RESLAB_CACHE") or "~/.cache/reslab"
    return Path(root).expanduser() / "store"


def store_bytes(dataset: Dataset, preprocess: Preprocess) -> int:
    """Return how large the store of a data set would be."""
    return len(dataset.images) * preprocess.resize_size**2 * preprocess.in_chans


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
        preprocess: how images are fitted; only the fields that matter before the cut count.
        cache: folder to keep stores in; None for $RESLAB_CACHE or ~/.cache/reslab.
        workers: threads that decode; 0 for one a core.
        progress: called with (images done, images in all) while building.

    Raises:
        DataError: an image cannot be decoded; the message names it.
        MachineError: the disk is full or cannot be written. Nothing half-built stays behind.
    """
    ready = _in_memory(dataset.images, preprocess)
    if ready is not None:
        return Store(torch.from_numpy(ready))
    folder = cache_folder(cache)
    path = folder / f"{_key(dataset.images, preprocess)}.npy"
    if path.is_file():
        os.utime(path)
        return Store(_map(path), path, reused=True)
    _build(path, dataset.images, preprocess, workers, progress)
    return Store(_map(path), path)


def _in_memory(images: Images, preprocess: Preprocess) -> Pixels | None:
    """Return the pixels of images that need neither decoding nor fitting."""
    size = preprocess.resize_size
    shape = (size, size) if preprocess.in_chans == 1 else (size, size, 3)
    if isinstance(images, ArrayImages) and images.pixels.shape[1:] == shape:
        pixels = images.pixels.reshape(len(images), size, size, preprocess.in_chans)
        return np.require(pixels, requirements=["C", "W"])
    return None


def _key(images: Images, preprocess: Preprocess) -> str:
    parts = (
        FORMAT_VERSION,
        images.fingerprint(),
        len(images),
        preprocess.resize_size,
        preprocess.in_chans,
        preprocess.resize,
        preprocess.interpolation,
    )
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def _map(path: Path) -> Tensor:
    # Copy-on-write, because torch warns about memory that it may not write to.
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def _build(
    path: Path, images: Images, preprocess: Preprocess, workers: int, progress: Progress | None
) -> None:
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            _write(file, images, preprocess, workers, progress)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise MachineError(f"cannot write the image store {path}: {error.strerror}") from error
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
    header = {
        "descr": "|u1",
        "fortran_order": False,
        "shape": (len(images), size, size, channels),
    }
    np.lib.format.write_array_header_1_0(file, header)

    def decode(start: int) -> Pixels:
        stop = min(start + _CHUNK, len(images))
        return np.stack([fit(images.read(index), preprocess) for index in range(start, stop)])

    done = 0
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for chunk in pool.map(decode, range(0, len(images), _CHUNK)):
            file.write(chunk.data)
            done += len(chunk)
            if progress is not None:
                progress(done, len(images))
