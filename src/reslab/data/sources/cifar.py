"""CIFAR-10 and CIFAR-100, from their python batches (folder or tar.gz) or binary batches.

Python batches are pickles. They are read only when their checksum is that of the published
file, and even then by an unpickler that knows nothing but numpy arrays (`unpickle_arrays`).
Binary batches are plain records; any number of them is accepted.
Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reslab.data.arrays import Indices, Pixels
from reslab.data.dataset import ArrayImages, Dataset
from reslab.data.sources.archive import reading_archive
from reslab.display.names import shown
from reslab.errors import DataError

PYTHON_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
# MD5 as published with the data; it tells damage and mix-ups, the unpickler guards against malice.
CHECKSUMS = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}
_CIFAR10 = ([f"data_batch_{n}" for n in range(1, 6)], ["test_batch"], "batches.meta")
_CIFAR100 = (["train"], ["test"], "meta")
_CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
)  # fmt: skip
_PIXELS = 3 * 32 * 32
_MAX_MEMBER = 256 * 1024 * 1024


class _Batch(NamedTuple):
    pixels: Pixels
    labels: Indices


def is_cifar_archive(file: Path) -> bool:
    """Tell whether a tar file holds the python batches, by its first members."""
    try:
        with reading_archive(file), tarfile.open(file) as archive:
            for _ in range(4):
                member = archive.next()
                if member and member.name.split("/")[0] in PYTHON_FOLDERS.values():
                    return True
    except DataError:
        return False
    return False


def open_cifar_folder(folder: Path, *, checksums: Mapping[str, str] = CHECKSUMS) -> Dataset:
    """Read python or binary batches from a folder.

    Args:
        folder: as unpacked from the published archive.
        checksums: MD5 of each python batch.

    Raises:
        DataError: a file is missing, damaged or not the published one.
    """
    if any(folder.glob("*.bin")):
        return _open_binary(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name in checksums}
    return _open_python(files, str(folder), checksums)


def open_cifar_archive(file: Path, *, checksums: Mapping[str, str] = CHECKSUMS) -> Dataset:
    """Read the python batches out of ``cifar-10-python.tar.gz`` without unpacking it.

    Raises:
        DataError: the archive or a batch is damaged, missing or not the published one.
    """
    files: dict[str, bytes] = {}
    with reading_archive(file), tarfile.open(file) as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            if name in checksums and member.isfile() and member.size <= _MAX_MEMBER:
                stream = archive.extractfile(member)
                files[name] = stream.read() if stream else b""
    return _open_python(files, str(file), checksums)


def unpickle_arrays(data: bytes, name: str) -> Any:
    """Unpickle plain values and numpy arrays; anything else is refused before it is built.

    Raises:
        DataError: the pickle names something other than a numpy array, or is damaged.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except DataError:
        raise
    except Exception as error:  # damaged opcodes raise almost anything
        raise DataError(f"{shown(name)} is not a sound pickle ({error})") from error


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler whose whole world is the four names that numpy's arrays are made of."""

    def find_class(self, module: str, name: str) -> Any:
        core = module in ("numpy.core.multiarray", "numpy._core.multiarray")
        if core and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if (module, name) == ("_codecs", "encode"):
            return _encode_latin1
        raise DataError(
            f"the pickle asks for {module}.{name}, which is no numpy array",
            remedy="do not use this file: it may run programs",
        )


def _encode_latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise DataError(f"the pickle asks for the encoding {encoding!r}")
    return text.encode("latin1")


def _open_python(files: Mapping[str, bytes], where: str, checksums: Mapping[str, str]) -> Dataset:
    ten = "batches.meta" in files or "data_batch_1" in files
    train, test, meta_name = _CIFAR10 if ten else _CIFAR100
    needed = [*train, *test, meta_name]
    for name in needed:
        if name not in files:
            raise DataError(f"{shown(where)} lacks the file '{name}'", remedy="unpack it again")
        if hashlib.md5(files[name]).hexdigest() != checksums[name]:
            raise DataError(
                f"'{name}' in {shown(where)} is damaged or not the published file (MD5 differs)",
                remedy="download it again, or give your own images as a folder or CSV",
            )
    meta = unpickle_arrays(files[meta_name], meta_name)
    key = "label_names" if ten else "fine_label_names"
    classes = tuple(str(name) for name in meta[key])
    label_key = "labels" if ten else "fine_labels"
    parts = [[_python_batch(files[n], n, label_key) for n in names] for names in (train, test)]
    return _join("cifar10" if ten else "cifar100", classes, parts[0], parts[1])


def _python_batch(data: bytes, name: str, label_key: str) -> _Batch:
    value = unpickle_arrays(data, name)
    try:
        planes = np.asarray(value["data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(value[label_key], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"'{name}' is no CIFAR batch ({error})") from error
    if len(labels) != len(planes):
        raise DataError(f"'{name}' has {len(planes)} images and {len(labels)} labels")
    return _Batch(planes.transpose(0, 2, 3, 1), labels)


def _open_binary(folder: Path) -> Dataset:
    train = sorted(folder.glob("data_batch_*.bin"))
    ten = bool(train)
    train = train or [folder / "train.bin"]
    test = folder / ("test_batch.bin" if ten else "test.bin")
    names_file = folder / ("batches.meta.txt" if ten else "fine_label_names.txt")
    classes = _CIFAR10_CLASSES if ten else tuple(f"{n:02d}" for n in range(100))
    if names_file.is_file():
        words = names_file.read_text("utf-8", "replace").split()
        classes = tuple(words) or classes
    label_bytes = 1 if ten else 2
    batches = [_binary_batch(file, label_bytes, len(classes)) for file in train]
    return _join(
        "cifar10" if ten else "cifar100",
        classes,
        batches,
        [_binary_batch(test, label_bytes, len(classes))],
    )


def _binary_batch(file: Path, label_bytes: int, num_classes: int) -> _Batch:
    """Read records of one label byte (CIFAR-100: coarse, fine) and 3x32x32 pixel bytes."""
    try:
        raw = np.fromfile(file, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{shown(file)} cannot be read ({error.strerror})") from None
    record = label_bytes + _PIXELS
    if not len(raw) or len(raw) % record:
        raise DataError(
            f"{shown(file)} is truncated: {len(raw)} bytes are no whole number of records of "
            f"{record} bytes"
        )
    rows = raw.reshape(-1, record)
    labels = rows[:, label_bytes - 1].astype(np.int64)
    if labels.max() >= num_classes:
        raise DataError(f"{shown(file)} has label {labels.max()}, but {num_classes} classes")
    return _Batch(rows[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels)


def _join(name: str, classes: tuple[str, ...], train: list[_Batch], test: list[_Batch]) -> Dataset:
    batches = [*train, *test]
    count = sum(len(batch.labels) for batch in train)
    labels = np.concatenate([batch.labels for batch in batches])
    if labels.max() >= len(classes):
        raise DataError(f"'{name}' has label {labels.max()}, but {len(classes)} class names")
    return Dataset(
        name=name,
        classes=classes,
        images=ArrayImages(np.concatenate([b.pixels for b in batches]), label=name),
        labels=labels,
        splits={
            "train": np.arange(count, dtype=np.int64),
            "test": np.arange(count, len(labels), dtype=np.int64),
        },
    )
