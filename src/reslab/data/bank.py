"""Where fitted images come from: one surface for the store and for the stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from reslab.data.cache import free_bytes, store_folder
from reslab.data.dataset import Dataset
from reslab.data.preprocess import Preprocess
from reslab.data.store import Progress, Store, in_memory, open_store, store_bytes, store_path
from reslab.data.stream import Stream
from reslab.errors import MachineError

RESIDENT_SHARE = 0.4  # of the memory that is free on a GPU


class Bank(Protocol):
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


def open_bank(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    cache: Path | None = None,
    workers: int = 0,
    limit_bytes: int | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> Bank:
    """Open the store of a data set, or a stream where a store would not fit.

    Args:
        dataset: the images of all splits.
        preprocess: how images are fitted.
        cache: folder to keep stores in; None for the user's, see `durable.cache`.
        workers: threads or processes that decode; 0 for one a core.
        limit_bytes: the largest store to make; None for half of what the disk has free.
        device: where batches are wanted; a store moves to a GPU that has room for it.
        progress: called with (images done, images in all) while a store is built.
        note: called with one line that says where the images are, and why.

    Raises:
        DataError: an image cannot be decoded; the message names it.
    """
    bank = _open(dataset, preprocess, cache, workers, limit_bytes, progress)
    if note is not None:
        note(bank.describe())
    return bank if device is None else resident(bank, device)


def _open(
    dataset: Dataset,
    preprocess: Preprocess,
    cache: Path | None,
    workers: int,
    limit_bytes: int | None,
    progress: Progress | None,
) -> Bank:
    reason = why_stream(dataset, preprocess, cache=cache, limit_bytes=limit_bytes)
    if not reason:
        try:
            return open_store(dataset, preprocess, cache=cache, workers=workers, progress=progress)
        except MachineError as error:
            reason = error.message
    return Stream(dataset.images, preprocess, workers=workers, reason=reason)


def why_stream(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    cache: Path | None = None,
    limit_bytes: int | None = None,
) -> str:
    """Say in one line why a data set has to stream, or nothing where a store is right."""
    images = dataset.images
    if in_memory(images, preprocess) is not None:
        return ""
    needed = store_bytes(images, preprocess)
    folder = store_folder(cache)
    limit = free_bytes(folder) // 2 if limit_bytes is None else limit_bytes
    if needed <= limit or store_path(images, preprocess, cache).is_file():
        return ""
    whose = f"half of the space free at {folder}" if limit_bytes is None else "the limit"
    return f"a store would take {needed / 1e6:,.0f} MB, {whose} is {limit / 1e6:,.0f} MB"


def resident(bank: Bank, device: torch.device, share: float = RESIDENT_SHARE) -> Bank:
    """Move a store to a GPU where it takes no more than a share of the memory that is free."""
    if device.type != "cuda" or not isinstance(bank, Store) or bank.device == device:
        return bank
    free, _ = torch.cuda.mem_get_info(device)
    return bank.to(device) if bank.num_bytes <= share * free else bank
