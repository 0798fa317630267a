"""A data set: numbered images, their labels, and which of them train, validate and test.

Nothing here knows of networks. A source (folder, CSV, archive, generator) builds a `Dataset`;
`check` reads it, `split` completes it, `image_cache` decodes it, the loader serves it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from reslab.data.arrays import Indices, Pixels
from reslab.data.decode import decode_file
from reslab.display.names import shown
from reslab.display.short import short_repr
from reslab.durable.cache import cache_folder, make_cache_folder
from reslab.durable.files import write_file
from reslab.errors import DataError, MachineError

SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "test")
# How a fingerprint begins that is made of the images' content.
FINGERPRINT_BY_CONTENT = "2:"


class Images(Protocol):
    """N decoded-on-demand images, by number."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Say which image this is, for people: a path, or ``train[17]``."""
        ...

    def read(self, index: int) -> Pixels:
        """Return uint8 pixels, (height, width) for grey or (height, width, 3) for RGB.

        Every image goes through the one conversion of `reslab.data.decode`.

        Raises:
            DataError: the file is missing, damaged or too large; the message names it.
        """
        ...

    def digests(self, progress: Progress | None = None) -> Digests:
        """Return 16 bytes for each image that stand for its content: uint8 (N, 16).

        A copy has the same, wherever it lies and whatever it is called.

        Args:
            progress: called with (images done, images in all) where reading them takes a while.
        """
        ...

    def identity(self) -> str:
        """Return a hash of these very images on this machine, for what is kept of their pixels."""
        ...

    def first_fingerprint(self) -> str:
        """Return what the first versions of reslab recorded instead of digests."""
        ...

    def take(self, order: Indices) -> Images:
        """Return the same images under other numbers."""
        ...


@dataclasses.dataclass(frozen=True)
class FileImages:
    """Images in files of their own.

    Args:
        root: the folder that the paths are relative to.
        paths: one an image, relative to the root, with forward slashes. Strings, for making a
            `Path` takes as long as decoding a small image.
    """

    root: Path
    paths: tuple[str, ...]

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Return the path of an image, under the root."""
        return os.path.join(self.root, self.paths[index])

    def read(self, index: int) -> Pixels:
        """Decode one file."""
        return decode_file(self.name(index))

    def digests(self, progress: Progress | None = None) -> Digests:
        """Digest the bytes of every file, once."""
        known = self.__dict__.get("_digests")  # frozen, but what is derived may be kept
        if known is None:
            known = self.__dict__["_digests"] = file_digests(self.root, self.paths, progress)
        digests: Digests = known
        return digests

    def take(self, order: Indices) -> FileImages:
        """Return the files in another order, or some of them."""
        taken = FileImages(self.root, tuple(self.paths[number] for number in order.tolist()))
        if "_digests" in self.__dict__:
            taken.__dict__["_digests"] = self.__dict__["_digests"][order]
        return taken

    def first_fingerprint(self) -> str:
        """Hash every path with its size and its time of change (nanoseconds)."""
        return self._hashed(lambda status: f"{status.st_size}\0{status.st_mtime_ns}").hexdigest()

    def identity(self) -> str:
        """Hash the folder too, and what tells files apart that have one size and one time."""
        digest = self._hashed(
            lambda s: f"{s.st_size}\0{s.st_mtime_ns}\0{s.st_ino}\0{s.st_ctime_ns}"
        )
        digest.update(os.fsencode(self.root.resolve()))
        return digest.hexdigest()

    def _hashed(self, described: Callable[[os.stat_result], str]) -> hashlib._Hash:
        digest = hashlib.sha256()
        for path in self.paths:
            try:
                status = os.stat(os.path.join(self.root, path))
            except OSError as error:
                raise DataError(
                    f"{os.path.join(self.root, path)} cannot be read: {error.strerror}",
                    remedy="restore the file, or open the data set again without it",
                ) from error
            line = f"{path}\0{described(status)}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest


@dataclasses.dataclass(frozen=True)
class ArrayImages:
    """Images of one size that are in memory already.

    Args:
        pixels: uint8, (N, height, width) for grey or (N, height, width, 3) for RGB.
        label: what the images are called in messages.
    """

    pixels: Pixels
    label: str = "image"

    __repr__ = short_repr

    def __post_init__(self) -> None:
        assert self.pixels.dtype == np.uint8, self.pixels.dtype
        assert self.pixels.ndim in (3, 4), self.pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, index: int) -> str:
        """Return the label with the number of the image."""
        return f"{self.label}[{index}]"

    def read(self, index: int) -> Pixels:
        """Return a view of one image."""
        pixels: Pixels = self.pixels[index]
        return pixels

    def digests(self, progress: Progress | None = None) -> Digests:
        """Digest the shape and the pixels of every image."""
        shape = f"{self.pixels.shape[1:]}\0".encode()
        pixels = (np.ascontiguousarray(image).data.cast("B") for image in self.pixels)
        return as_digests([digest_of(shape + image) for image in pixels])

    def take(self, order: Indices) -> ArrayImages:
        """Return the images in another order, or some of them."""
        return dataclasses.replace(self, pixels=self.pixels[order])

    def first_fingerprint(self) -> str:
        """Hash the pixels of all images."""
        digest = hashlib.sha256(str(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        return digest.hexdigest()

    def identity(self) -> str:
        """Hash the pixels themselves."""
        return self.first_fingerprint()


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images with labels, classes and splits.

    Args:
        name: what to call it in reports.
        classes: class names, in the order of the logits; they come from train alone.
        images: the images of all splits together.
        labels: int64 (N,), the class number of each image.
        splits: image numbers of "train", "val" and "test"; each split may be absent.
        groups: for each image the name of the group that must not be torn apart, or None.
        excluded: names of images that were left out on request, with the reason.
        note: one line that reports must carry ("not comparable with ..."), or empty.
    """

    name: str
    classes: tuple[str, ...]
    images: Images
    labels: Indices
    splits: Mapping[SplitName, Indices]
    groups: tuple[str, ...] | None = None
    excluded: Mapping[str, str] = dataclasses.field(default_factory=dict)
    note: str = ""

    __repr__ = short_repr

    def __post_init__(self) -> None:
        assert len(self.labels) == len(self.images)
        assert all(name in SPLIT_NAMES for name in self.splits)
        assert not len(self.labels) or (
            self.labels.min() >= 0 and self.labels.max() < len(self.classes)
        )

    def split(self, name: SplitName) -> Indices:
        """Return the image numbers of a split, or raise DataError naming those there are."""
        if name not in self.splits:
            there = ", ".join(self.splits) or "none"
            raise DataError(f"data set '{self.name}' has no split '{name}' (it has: {there})")
        return self.splits[name]

    def fingerprint(self) -> str:
        """Hash the content of all images in their order, their labels and the classes.

        Names do not count: a data set that was moved, copied or packed is the same data set.
        """
        return FINGERPRINT_BY_CONTENT + self._hashed(self.images.digests().tobytes())

    def has_fingerprint(self, recorded: str) -> bool:
        """Tell whether these images and labels are those of which a fingerprint was recorded.

        Those of the first versions were made of paths, sizes and times of change.
        """
        if recorded.startswith(FINGERPRINT_BY_CONTENT):
            return recorded == self.fingerprint()
        return recorded == self._hashed(self.images.first_fingerprint().encode())

    def _hashed(self, images: bytes) -> str:
        digest = hashlib.sha256(images)
        digest.update("\0".join(self.classes).encode("utf-8", "surrogateescape"))
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


def count_by_class(labels: Indices, num_classes: int) -> Sequence[int]:
    """Count how often each class number occurs, including those that never do."""
    counts: list[int] = np.bincount(labels, minlength=num_classes).tolist()
    return counts


# --- digests: what is in a file, as 16 bytes, whatever it is called and wherever it is ------------
# A digest is the first half of the SHA-256 of the file's bytes. Reading every file takes time, so
# digests are kept, one file a data set, in the user's cache folder: for a file whose path, size,
# times of change and inode are as they were, the kept digest is taken.


Digests = npt.NDArray[np.uint8]  # (N, DIGEST_BYTES)
Progress = Callable[[int, int], None]

DIGEST_BYTES = 16
_CACHE_KIND = "digests"
_ENTRY = 2 * DIGEST_BYTES  # a stamp, of what the system says of the file, and its digest
_READ_BYTES = 1 << 20
_FILES_AT_ONCE = 64
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
    done = _digest_files(files[:_FILES_AT_ONCE])
    wall_s, cpu_s = time.perf_counter() - wall_s, time.thread_time() - cpu_s
    waits = wall_s > _WAITS * cpu_s and wall_s > _SLOW_S * len(done)
    large = sum(file.size for file in files) > _LARGE * len(files)
    rest = [
        files[i : i + _FILES_AT_ONCE] for i in range(_FILES_AT_ONCE, len(files), _FILES_AT_ONCE)
    ]
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
            while block := os.read(descriptor, _READ_BYTES):
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
        return cache_folder(_CACHE_KIND) / name
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
        make_cache_folder(_CACHE_KIND)
        write_file(path, digest_of(body) + body)
    except (OSError, MachineError):
        return
