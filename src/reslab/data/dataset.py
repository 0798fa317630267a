"""A data set: numbered images, their labels, and which of them train, validate and test.

Nothing here knows of networks. A source (folder, CSV, archive, generator) builds a `Dataset`;
`check` reads it, `split` completes it, `store` decodes it, the loader serves it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from reslab.data.arrays import Indices, Pixels
from reslab.data.decode import decode_file
from reslab.data.digests import Digests, Progress, as_digests, digest_of, file_digests
from reslab.errors import DataError

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
