"""CIFAR batches: both forms, checksums, and pickles that try to run programs."""

import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from reslab.data.dataset import Dataset
from reslab.data.open import open_dataset
from reslab.data.sources import cifar
from reslab.data.sources.cifar import (
    CHECKSUMS,
    open_cifar_archive,
    open_cifar_folder,
    unpickle_arrays,
)
from reslab.errors import DataError

RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
LABELS = [6, 9, 9, 4, 1, 1, 2, 7, 8, 3, 0, 5]


def planes(part: slice) -> np.ndarray:
    """Return the published row form: 1024 red, 1024 green, 1024 blue values."""
    return IMAGES[part].transpose(0, 3, 1, 2).reshape(-1, 3072)


def write_ten(folder: Path, protocol: int = 2) -> dict[str, str]:
    """Write a CIFAR-10 of two images a batch, and return its checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]
    for number, name in enumerate(names):
        part = slice(2 * number, 2 * number + 2)
        value = {"data": planes(part), "labels": LABELS[part], "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(value, protocol))
    meta = {"label_names": list(cifar._CIFAR10_CLASSES), "num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol))
    return {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def holds_all(dataset: Dataset) -> None:
    assert dataset.labels.tolist() == LABELS
    assert dataset.split("train").tolist() == list(range(10))
    assert dataset.split("test").tolist() == [10, 11]
    assert dataset.classes[6] == "frog"
    for number in range(12):
        assert (dataset.images.read(number) == IMAGES[number]).all()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_python_batches(tmp_path: Path, protocol: int) -> None:
    checksums = write_ten(tmp_path / "batches", protocol)
    holds_all(open_cifar_folder(tmp_path / "batches", checksums=checksums))


def test_the_archive_is_read_without_unpacking(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    checksums = write_ten(folder)
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname=folder.name)
    before = sorted(tmp_path.rglob("*"))
    holds_all(open_cifar_archive(tmp_path / "cifar-10-python.tar.gz", checksums=checksums))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_damaged_archive_is_named(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    checksums = write_ten(folder)
    file = tmp_path / f"cifar-10-python.tar.{kind}"
    with tarfile.open(file, f"w:{kind}") as archive:  # type: ignore[call-overload]
        archive.add(folder, arcname=folder.name)
    data = file.read_bytes()
    for start in (len(data) // 50, len(data) // 2, len(data) - 300):
        file.write_bytes(data[:start] + b"\xff" * 200 + data[start + 200 :])
        cifar.is_cifar_archive(file)
        with pytest.raises(DataError, match="damaged"):
            open_cifar_archive(file, checksums=checksums)


def test_cifar100_has_fine_labels(tmp_path: Path) -> None:
    for name, part in (("train", slice(0, 8)), ("test", slice(8, 12))):
        value = {"data": planes(part), "fine_labels": LABELS[part], "coarse_labels": [0] * 9}
        (tmp_path / name).write_bytes(pickle.dumps(value, 2))
    meta = {"fine_label_names": [f"fine{n}" for n in range(100)], "coarse_label_names": ["x"]}
    (tmp_path / "meta").write_bytes(pickle.dumps(meta, 2))
    checksums = {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in tmp_path.iterdir()}
    dataset = open_cifar_folder(tmp_path, checksums=checksums)
    assert dataset.name == "cifar100"
    assert dataset.classes[9] == "fine9"
    assert dataset.labels.tolist() == LABELS
    assert len(dataset.split("test")) == 4


def test_binary_batches_through_the_door(tmp_path: Path) -> None:
    for number in range(6):
        part = slice(2 * number, 2 * number + 2)
        rows = np.concatenate([np.array(LABELS[part], np.uint8)[:, None], planes(part)], axis=1)
        name = f"data_batch_{number + 1}.bin" if number < 5 else "test_batch.bin"
        (tmp_path / name).write_bytes(rows.tobytes())
    holds_all(open_dataset(tmp_path))
    (tmp_path / "data_batch_3.bin").write_bytes(b"\x05" * 5000)
    with pytest.raises(DataError, match=r"data_batch_3\.bin is truncated"):
        open_dataset(tmp_path)


def test_cifar100_binary(tmp_path: Path) -> None:
    for name, part in (("train.bin", slice(0, 8)), ("test.bin", slice(8, 12))):
        fine = np.array(LABELS[part], np.uint8)[:, None]
        (tmp_path / name).write_bytes(
            np.concatenate([fine * 0 + 3, fine, planes(part)], axis=1).tobytes()
        )
    dataset = open_dataset(tmp_path)
    assert len(dataset.classes) == 100
    assert dataset.labels.tolist() == LABELS


def test_a_changed_byte_is_found_before_anything_is_unpickled(tmp_path: Path) -> None:
    write_ten(tmp_path)
    assert set(os.listdir(tmp_path)) <= set(CHECKSUMS)
    with pytest.raises(DataError, match="is damaged or not the published file"):
        open_dataset(tmp_path)  # these are not the published bytes


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    checksums = write_ten(tmp_path)
    (tmp_path / "data_batch_4").unlink()
    with pytest.raises(DataError, match="lacks the file 'data_batch_4'"):
        open_cifar_folder(tmp_path, checksums=checksums)


class Command:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


class Evaluation:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"__import__('os').mkdir({str(self.path)!r})",)


class NumpyLoader:
    """Goes through numpy itself: numpy.load of an object array would unpickle anything."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return np.load, (str(self.path),)


@pytest.mark.parametrize("attack", [Command, Evaluation, NumpyLoader])
def test_a_malicious_pickle_does_not_run_even_with_the_right_checksum(
    tmp_path: Path, attack: type
) -> None:
    trace = tmp_path / "trace"
    checksums = write_ten(tmp_path / "batches")
    value = {"data": planes(slice(0, 2)), "labels": [1, 2], "extra": attack(trace)}
    data = pickle.dumps(value, 2)
    (tmp_path / "batches" / "data_batch_2").write_bytes(data)
    checksums["data_batch_2"] = hashlib.md5(data).hexdigest()
    with pytest.raises(DataError, match="no numpy array"):
        open_cifar_folder(tmp_path / "batches", checksums=checksums)
    assert not trace.exists()
    if attack is not NumpyLoader:
        pickle.loads(data)  # the attack is real: the ordinary unpickler falls for it
        assert trace.exists()


def test_damaged_pickles_raise_data_errors_only() -> None:
    data = pickle.dumps({"data": planes(slice(0, 1)), "labels": [3]}, 2)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data[: int(rng.integers(1, len(data)))])
        damaged[int(rng.integers(0, min(200, len(damaged))))] ^= 1 << int(rng.integers(0, 8))
        try:
            unpickle_arrays(bytes(damaged), "x")
        except DataError:
            refused += 1
    assert refused > 250


def test_an_archive_of_something_else_is_no_cifar(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a/b.jpg"), io.BytesIO())
    assert not cifar.is_cifar_archive(tmp_path / "x.tar.gz")
    (tmp_path / "y.tar.gz").write_bytes(b"nothing")
    assert not cifar.is_cifar_archive(tmp_path / "y.tar.gz")
