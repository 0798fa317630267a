"""What is in a file, as 16 bytes: the identity of an image, whatever it is called, wherever it is.

A digest is the first half of the SHA-256 of the file's bytes. Reading every file takes time, so
digests are kept, one file a data set, in the user's cache folder: for a file whose path, size,
times of change and inode are as they were, the kept digest is taken.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reslab.data.names import shown
from reslab.durable.cache import cache_folder, make_cache_folder
from reslab.durable.files import write_file
from reslab.errors import DataError, MachineError

Digests = npt.NDArray[np.uint8]  # (N, DIGEST_BYTES)
Progress = Callable[[int, int], None]

DIGEST_BYTES = 16
KIND = "digests"
_ENTRY = 2 * DIGEST_BYTES  # a stamp (what the system says of the file) and the digest
_BLOCK = 1 << 20
_CHUNK = 64
# A file that changes twice within one tick of the clock keeps its time: what is so young is not
# kept. File systems that count whole seconds (or two) are known by their times.
_TICK_NS = 50_000_000
_COARSE_TICK_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000


def digest_of(data: bytes | memoryview) -> bytes:
    """Return the 16 bytes that stand for a content."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def as_digests(values: Sequence[bytes]) -> Digests:
    """Put digests into one array: uint8 (N, 16)."""
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, DIGEST_BYTES)


def keys(digests: Digests) -> npt.NDArray[np.bytes_]:
    """Return one value a digest, which can be sorted and compared: (N,)."""
    # numpy drops zero bytes at the end of such values; of equal lengths, none become equal so.
    view: npt.NDArray[np.bytes_] = np.ascontiguousarray(digests).view(f"S{DIGEST_BYTES}")
    return view.reshape(-1)


def file_digests(root: Path, paths: Sequence[str], progress: Progress | None = None) -> Digests:
    """Return the digest of every file; those that are known and have not changed are not read.

    Args:
        root: what relative paths start from.
        paths: the files.
        progress: called with (files done, files to read) while files are read.

    Raises:
        DataError: a file cannot be read; the message names it.
    """
    began_ns = time.time_ns()
    stamps, young = _stamps(root, paths, began_ns)
    kept_in = _kept_in(root)
    kept = _read_kept(kept_in)
    found = [kept.get(stamp) for stamp in stamps]
    missing = [number for number, digest in enumerate(found) if digest is None]
    for number, digest in zip(missing, _read(root, paths, missing, progress), strict=True):
        found[number] = digest
    known = [digest for digest in found if digest is not None]
    new = {stamps[n]: known[n] for n in missing if n not in young}
    if new and kept_in is not None:
        if len(kept) > 2 * len(paths):  # mostly of files that have gone
            kept = {}
        _write_kept(kept_in, kept | dict(zip(stamps, known, strict=True)), stamps, young)
    return as_digests(known)


def _stamps(root: Path, paths: Sequence[str], now_ns: int) -> tuple[list[bytes], set[int]]:
    """Describe every file in 16 bytes; say which have changed too lately to be known again."""
    stamps: list[bytes] = []
    young: set[int] = set()
    for number, path in enumerate(paths):
        place = os.path.join(root, path)
        try:
            status = os.stat(place)
        except OSError as error:
            raise _unreadable(place, error.strerror or str(error)) from error
        if not stat.S_ISREG(status.st_mode):
            raise _unreadable(place, "it is no file")
        text = (
            f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\0{status.st_ino}"
        )
        stamps.append(digest_of(text.encode("utf-8", "surrogateescape")))
        tick_ns = _TICK_NS if status.st_ctime_ns % _SECOND_NS else _COARSE_TICK_NS
        if status.st_ctime_ns + tick_ns > now_ns:
            young.add(number)
    return stamps, young


def _read(
    root: Path, paths: Sequence[str], numbers: Sequence[int], progress: Progress | None
) -> list[bytes]:
    """Read and digest files; in threads, because the disk serves several at once."""
    chunks = [numbers[i : i + _CHUNK] for i in range(0, len(numbers), _CHUNK)]
    done: list[bytes] = []

    def read(chunk: Sequence[int]) -> list[bytes]:
        return [_digest_file(os.path.join(root, paths[number])) for number in chunk]

    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="reslab-digest")
    try:
        for part in pool.map(read, chunks):
            done += part
            if progress is not None:
                progress(len(done), len(numbers))
    finally:
        pool.shutdown(cancel_futures=True)
    return done


def _digest_file(place: str) -> bytes:
    digest = hashlib.sha256()
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while block := os.read(descriptor, _BLOCK):
                digest.update(block)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(place, error.strerror or str(error)) from error
    return digest.digest()[:DIGEST_BYTES]


def _unreadable(place: str, why: str) -> DataError:
    return DataError(
        f"{shown(place)} cannot be read: {why}",
        remedy="restore the file, or open the data set again without it",
    )


def _kept_in(root: Path) -> Path | None:
    name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
    try:
        return cache_folder(KIND) / name
    except MachineError:
        return None


def _read_kept(path: Path | None) -> dict[bytes, bytes]:
    """Read stamp -> digest; empty where nothing is kept, or what is kept is damaged."""
    try:
        data = b"" if path is None else path.read_bytes()
    except OSError:
        return {}
    check, body = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if len(body) % _ENTRY or digest_of(body) != check:
        return {}
    starts = range(0, len(body), _ENTRY)
    return {body[i : i + DIGEST_BYTES]: body[i + DIGEST_BYTES : i + _ENTRY] for i in starts}


def _write_kept(
    path: Path, kept: dict[bytes, bytes], stamps: Sequence[bytes], young: set[int]
) -> None:
    """Write what is known; a cache that cannot be written is no reason to fail."""
    for number in young:
        kept.pop(stamps[number], None)
    body = b"".join(stamp + digest for stamp, digest in kept.items())
    try:
        make_cache_folder(KIND)
        write_file(path, digest_of(body) + body)
    except (OSError, MachineError):
        return
