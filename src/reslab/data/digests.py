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
from typing import NamedTuple

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
_ENTRY = 2 * DIGEST_BYTES  # a stamp, of what the system says of the file, and its digest
_BLOCK = 1 << 20
_CHUNK = 64
_LARGE = 64 << 10  # bytes: of such a file, digesting is most of the work
_WAITS = 3  # so many times as long as the processor was busy is waiting
_SLOW_S = 2e-4  # a file; below that, other processes may have had the processor
_MOST_THREADS = 8
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
    now_ns = time.time_ns()
    folder = os.path.join(root, "")  # joining a string to a string, a million times
    files = [_File.at(os.path.join(folder, path), path) for path in paths]
    kept_in = _kept_in(root)
    kept = _read_kept(kept_in)
    digests = {file.stamp: kept[file.stamp] for file in files if file.stamp in kept}
    missing = [file for file in files if file.stamp not in digests]
    read = _read(missing, progress)
    digests |= {file.stamp: digest for file, digest in zip(missing, read, strict=True)}
    lasting = {file.stamp: digests[file.stamp] for file in missing if not file.is_young(now_ns)}
    if lasting and kept_in is not None:
        if len(kept) > 2 * len(paths):  # mostly of files that have gone
            kept = {stamp: digests[stamp] for stamp in kept if stamp in digests}
        _write_kept(kept_in, kept | lasting)
    return as_digests([digests[file.stamp] for file in files])


class _File(NamedTuple):
    """A file before it is read: its place, what tells its states apart, size, time of change."""

    place: str
    stamp: bytes
    size: int
    ctime_ns: int

    @classmethod
    def at(cls, place: str, name: str) -> _File:
        try:
            status = os.stat(place)
        except OSError as error:
            raise _unreadable(place, error.strerror or str(error)) from error
        if not stat.S_ISREG(status.st_mode):
            raise _unreadable(place, "it is no file")
        size, ctime_ns = status.st_size, status.st_ctime_ns
        text = f"{name}\0{size}\0{status.st_mtime_ns}\0{ctime_ns}\0{status.st_ino}"
        return cls(place, digest_of(text.encode("utf-8", "surrogateescape")), size, ctime_ns)

    def is_young(self, now_ns: int) -> bool:
        """Tell whether it could change once more and keep its time of change."""
        tick_ns = _TICK_NS if self.ctime_ns % _SECOND_NS else _COARSE_TICK_NS
        return self.ctime_ns + tick_ns > now_ns


def _read(files: Sequence[_File], progress: Progress | None) -> list[bytes]:
    """Read and digest files, in as many threads as help.

    Of small files that the system has in memory most of the work is Python's, of which only one
    thread can do any: others would make it take longer. Where the first files show that reading
    is waiting, for a disk or a network, several wait at once.
    """
    wall_s, cpu_s = time.perf_counter(), time.thread_time()
    done = _digest_files(files[:_CHUNK])
    wall_s, cpu_s = time.perf_counter() - wall_s, time.thread_time() - cpu_s
    waits = wall_s > _WAITS * cpu_s and wall_s > _SLOW_S * len(done)
    large = sum(file.size for file in files) > _LARGE * len(files)
    rest = [files[i : i + _CHUNK] for i in range(_CHUNK, len(files), _CHUNK)]
    threads = _MOST_THREADS if waits else min(_MOST_THREADS, os.cpu_count() or 1) if large else 1
    pool = None
    if rest and threads > 1:
        pool = ThreadPoolExecutor(threads, thread_name_prefix="reslab-digest")
    try:
        for part in pool.map(_digest_files, rest) if pool else map(_digest_files, rest):
            done += part
            if progress is not None:
                progress(len(done), len(files))
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    return done


def _digest_files(files: Sequence[_File]) -> list[bytes]:
    return [_digest_file(file.place) for file in files]


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


def _write_kept(path: Path, kept: dict[bytes, bytes]) -> None:
    """Write what is known; a cache that cannot be written is no reason to fail."""
    body = b"".join(stamp + digest for stamp, digest in kept.items())
    try:
        make_cache_folder(KIND)
        write_file(path, digest_of(body) + body)
    except (OSError, MachineError):
        return
