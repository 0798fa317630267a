"""The folder of the image stores: who may build, what may go, how much room there is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from reslab.durable.cache import cache_folder

_SPARE_BYTES = 64 << 20
_ABANDONED_S = 24 * 3600


def store_folder(cache: Path | None = None) -> Path:
    """Return the folder of the stores, below `durable.cache.cache_root`."""
    return cache_folder("store", cache)


def free_bytes(folder: Path) -> int:
    """Return the room on the disk that a folder is on, or would be on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def prune(limit_bytes: int, cache: Path | None = None) -> int:
    """Remove the least recently used stores until the rest fits; return the bytes freed.

    Args:
        limit_bytes: how much may stay.
        cache: the folder that was given to `open_store`.
    """
    found = []
    for path in store_folder(cache).glob("*.npy"):
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
    """Remove what dead builders left, and old stores if the disk needs them gone.

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
        total = sum(store.stat().st_size for store in folder.glob("*.npy"))
        if total < missing:
            raise OSError(
                f"{num_bytes / 1e6:,.0f} MB are needed, {free_bytes(folder) / 1e6:,.0f} are free"
            )
        prune(total - missing, folder.parent)


@contextlib.contextmanager
def only_builder(path: Path) -> Iterator[None]:
    """Wait until no other process builds this store; the system frees the lock of the dead."""
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
