"""IDX files, the form of MNIST and Fashion-MNIST, plain or gzip-compressed.

A file is: two zero bytes, the type (8 = unsigned byte), the number of dimensions, each
dimension as a big-endian 32-bit integer, then the bytes. Source: LeCun et al., the MNIST page.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reslab.data.dataset import ArrayImages, Dataset
from reslab.display.names import shown
from reslab.errors import DataError

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
MAX_BYTES = 4 * 1024**3
# SHA-256 of the 10,000 label bytes of Fashion-MNIST's test split, by which a folder is known.
_FASHION_LABELS = "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9"
_STEMS = {"train": ("train",), "test": ("t10k", "test")}


def holds_both_splits(folder: Path) -> bool:
    """Tell whether a folder holds all four IDX files: images and labels, of training and test."""
    return all(_find(folder, split, kind) for split in _STEMS for kind in ("images", "labels"))


def open_idx_folder(folder: Path) -> Dataset:
    """Read ``train-images-idx3-ubyte[.gz]`` and its three companions.

    Classes keep the numbers they have in the files; Fashion-MNIST is known by its labels and
    gets its names. A folder without test files is a set that is not split yet.

    Raises:
        DataError: a file is missing, damaged, or disagrees with its companion.
    """
    pixels, labels = _read_pair(folder, "train")
    count = len(labels)
    splits = {}
    if _find(folder, "test", "images") is not None:
        test_pixels, test_labels = _read_pair(folder, "test")
        if test_pixels.shape[1:] != pixels.shape[1:]:
            raise DataError(
                f"{shown(folder)}: training images are {pixels.shape[1:]}, "
                f"test images {test_pixels.shape[1:]}"
            )
        pixels = np.concatenate([pixels, test_pixels])
        labels = np.concatenate([labels, test_labels])
        splits = {
            "train": np.arange(count, dtype=np.int64),
            "test": np.arange(count, len(labels), dtype=np.int64),
        }
    fashion = hashlib.sha256(labels[count:].tobytes()).hexdigest() == _FASHION_LABELS
    classes = FASHION_CLASSES if fashion else tuple(str(n) for n in range(int(labels.max()) + 1))
    name = "fashion-mnist" if fashion else folder.name
    return Dataset(
        name=name,
        classes=classes,
        images=ArrayImages(pixels, label=name),
        labels=labels.astype(np.int64),
        splits=splits,  # type: ignore[arg-type]
    )


def read_idx(file: Path) -> npt.NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes.

    Raises:
        DataError: not an IDX file, of another type, truncated, with bytes left over, or larger
            than MAX_BYTES.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] != 8 or not 1 <= head[3] <= 4:
                raise DataError(f"{shown(file)} is no IDX file of unsigned bytes")
            shape = struct.unpack(f">{head[3]}I", stream.read(4 * head[3]))
            size = int(np.prod(shape, dtype=np.float64))
            if size > MAX_BYTES:
                raise DataError(f"{shown(file)} claims {size} bytes, at most {MAX_BYTES} are read")
            data = stream.read(size + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"{shown(file)} is damaged ({error})") from error
    if len(data) != size:
        state = "has bytes left over" if len(data) > size else "is truncated"
        raise DataError(f"{shown(file)} {state}: {size} bytes expected after the header")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _read_pair(folder: Path, split: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    images_file, labels_file = (_find(folder, split, kind) for kind in ("images", "labels"))
    assert images_file is not None
    if labels_file is None:
        raise DataError(f"{shown(folder)} has {images_file.name} but not the {split} labels")
    pixels, labels = read_idx(images_file), read_idx(labels_file)
    if pixels.ndim not in (3, 4) or pixels.shape[3:] not in ((), (3,)) or labels.ndim != 1:
        raise DataError(f"{shown(images_file)} has shape {pixels.shape}, images were expected")
    if len(pixels) != len(labels) or not len(labels):
        raise DataError(
            f"{shown(images_file)} has {len(pixels)} images, {labels_file.name} has "
            f"{len(labels)} labels"
        )
    if not pixels.size:
        raise DataError(f"{shown(images_file)} has images without pixels, shape {pixels.shape}")
    return pixels, labels


def _find(folder: Path, split: str, kind: str) -> Path | None:
    rank = "idx3" if kind == "images" else "idx1"
    for stem in _STEMS[split]:
        for separator in ("-", "."):
            for suffix in ("", ".gz"):
                file = folder / f"{stem}-{kind}{separator}{rank}-ubyte{suffix}"
                if file.is_file():
                    return file
    return None
