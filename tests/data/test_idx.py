"""IDX files: plain, compressed, damaged, and Fashion-MNIST itself."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from reslab.data.open import open_dataset
from reslab.data.sources.idx import FASHION_CLASSES, MAX_BYTES, holds_both_splits, read_idx
from reslab.errors import DataError

RNG = np.random.default_rng(1)
TRAIN = RNG.integers(0, 255, (20, 6, 5), dtype=np.uint8)
TEST = RNG.integers(0, 255, (6, 6, 5), dtype=np.uint8)
FASHION = Path("/usr/share/datasets/fashion-mnist")


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def write(folder: Path, *, suffix: str = "", separator: str = "-") -> None:
    pack = gzip.compress if suffix else bytes
    for stem, pixels in (("train", TRAIN), ("t10k", TEST)):
        labels = (np.arange(len(pixels)) % 3).astype(np.uint8)
        for kind, array in ((f"images{separator}idx3", pixels), (f"labels{separator}idx1", labels)):
            (folder / f"{stem}-{kind}-ubyte{suffix}").write_bytes(pack(idx(array)))


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("separator", ["-", "."])
def test_a_folder_of_idx_files(tmp_path: Path, suffix: str, separator: str) -> None:
    write(tmp_path, suffix=suffix, separator=separator)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("0", "1", "2")
    assert dataset.split("train").tolist() == list(range(20))
    assert dataset.split("test").tolist() == list(range(20, 26))
    assert (dataset.images.read(3) == TRAIN[3]).all()
    assert (dataset.images.read(25) == TEST[5]).all()
    assert dataset.labels[:4].tolist() == [0, 1, 2, 0]


def test_a_folder_is_whole_with_all_four_files_only(tmp_path: Path) -> None:
    write(tmp_path, suffix=".gz")
    assert holds_both_splits(tmp_path)
    for file in sorted(tmp_path.iterdir()):
        file.rename(tmp_path / "away")
        assert not holds_both_splits(tmp_path)
        (tmp_path / "away").rename(file)


def test_without_test_files_the_set_is_not_split(tmp_path: Path) -> None:
    write(tmp_path)
    for file in tmp_path.glob("t10k*"):
        file.unlink()
    assert open_dataset(tmp_path).splits == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no IDX file"),
        (b"\0\0\x0d\x01" + bytes(8), "no IDX file of unsigned bytes"),  # floats
        (b"\x89PNG....", "no IDX file"),
        (idx(TRAIN)[:-1], "is truncated: 600 bytes expected"),
        (idx(TRAIN) + b"x", "has bytes left over"),
        (idx(TRAIN)[:9], "is damaged"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"xy", f"at most {MAX_BYTES} are read"),
    ],
)
def test_damage_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a-ubyte").write_bytes(data)
    with pytest.raises(DataError, match=rf"a-ubyte.*{message}"):
        read_idx(tmp_path / "a-ubyte")


def test_damaged_compression_is_named(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(idx(TRAIN)))
    for damaged in (data[:-20], data[:200] + b"\0\0\0" + data[203:], b"plain"):
        (tmp_path / "a.gz").write_bytes(bytes(damaged))
        with pytest.raises(DataError, match=r"a\.gz is (damaged|truncated)"):
            read_idx(tmp_path / "a.gz")


def test_a_bomb_is_read_no_further_than_its_header_says(tmp_path: Path) -> None:
    head = idx(TRAIN)[:16]
    (tmp_path / "a.gz").write_bytes(gzip.compress(head + bytes(50_000_000)))
    with pytest.raises(DataError, match="has bytes left over"):
        read_idx(tmp_path / "a.gz")


@pytest.mark.parametrize("shape", [(20, 0, 5), (20, 6, 0)])
def test_images_without_pixels_are_refused(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    write(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros(shape, np.uint8)))
    with pytest.raises(DataError, match="has images without pixels"):
        open_dataset(tmp_path)


def test_companions_must_agree(tmp_path: Path) -> None:
    write(tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(np.zeros(19, dtype=np.uint8)))
    with pytest.raises(DataError, match=r"20 images, .* has 19 labels"):
        open_dataset(tmp_path)
    labels.unlink()
    with pytest.raises(DataError, match="not the train labels"):
        open_dataset(tmp_path)


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs apt-get install dataset-fashion-mnist")
def test_fashion_mnist() -> None:
    dataset = open_dataset(FASHION)
    assert dataset.name == "fashion-mnist"
    assert dataset.classes == FASHION_CLASSES
    assert (len(dataset.split("train")), len(dataset.split("test"))) == (60_000, 10_000)
    assert dataset.labels[:5].tolist() == [9, 0, 0, 3, 0]  # as published
    assert dataset.labels[60_000:60_005].tolist() == [9, 2, 1, 1, 6]
    assert np.bincount(dataset.labels).tolist() == [7000] * 10
