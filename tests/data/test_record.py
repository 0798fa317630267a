"""Images that are known again: moved, renamed and in another order; and how others differ."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pictures import picture, write_pictures

from reslab.data.dataset import ArrayImages, Dataset
from reslab.data.open import open_dataset
from reslab.data.record import ImageRecord, recorded_names
from reslab.data.split import complete_splits, splits_to_json
from reslab.errors import CheckpointError

CLASSES = ("a", "b")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", {"a": 9, "b": 8})
    return tmp_path / "photos"


@pytest.fixture
def split(photos: Path) -> Dataset:
    return complete_splits(open_dataset(photos), val_fraction=0.2, seed=3)


def pixels(dataset: Dataset, numbers: np.ndarray) -> list[bytes]:
    return [dataset.images.read(int(number)).tobytes() for number in numbers]


def assert_equal(found: Dataset | None, split: Dataset) -> None:
    """Assert that each number is the same picture, with the same label and in the same split."""
    assert found is not None
    everything = np.arange(len(split.labels))
    assert pixels(found, everything) == pixels(split, everything)
    assert found.classes == split.classes
    assert np.array_equal(found.labels, split.labels)
    assert found.splits.keys() == split.splits.keys()
    for name, numbers in split.splits.items():
        assert np.array_equal(found.splits[name], numbers)
    assert found.fingerprint() == split.fingerprint()


def test_renamed_and_moved_images_get_their_numbers_and_splits_again(
    photos: Path, split: Dataset, tmp_path: Path
) -> None:
    record = ImageRecord.from_bytes(ImageRecord.of(split).to_bytes(), "here")
    for number, path in enumerate(sorted(photos.rglob("*.png"), reverse=True)):
        place = tmp_path / "moved" / path.parent.name / "deeper" / f"{number}.PNG"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    moved = open_dataset(tmp_path / "moved")
    assert moved.fingerprint() != split.fingerprint()  # in another order, other numbers
    assert_equal(record.put_back(moved, CLASSES), split)
    assert_equal(record.put_back(open_dataset(photos), CLASSES), split)
    packed = shutil.make_archive(str(tmp_path / "packed"), "gztar", photos)
    assert_equal(record.put_back(open_dataset(packed, cache=tmp_path), CLASSES), split)


def test_equal_images_are_counted(photos: Path) -> None:
    for folder, name in (("a", "copy"), ("a", "again"), ("b", "other")):
        shutil.copy(photos / "a" / "000.png", photos / folder / f"{name}.png")
    split = complete_splits(open_dataset(photos), val_fraction=0.2, seed=3)
    record = ImageRecord.of(split)
    assert_equal(record.put_back(open_dataset(photos), CLASSES), split)
    (photos / "a" / "again.png").unlink()
    assert record.put_back(open_dataset(photos), CLASSES) is None
    shutil.copy(photos / "a" / "000.png", photos / "b" / "again.png")
    assert record.put_back(open_dataset(photos), CLASSES) is None


def test_a_random_order_of_arrays_is_undone() -> None:
    rng = np.random.default_rng(1)
    images = ArrayImages(rng.integers(0, 2, (60, 2, 2), np.uint8))  # many are equal
    labels = rng.integers(0, 3, 60)
    whole = Dataset("x", ("p", "q", "r"), images, labels, {"train": np.arange(60)})
    record = ImageRecord.of(whole)
    for _ in range(20):
        order = rng.permutation(60)
        classes = ("r", "p", "q")
        other = np.array([classes.index(whole.classes[label]) for label in labels])[order]
        found = record.put_back(Dataset("y", classes, images.take(order), other, {}), whole.classes)
        assert_equal(found, whole)


def test_an_image_that_was_moved_to_another_split_by_hand_is_no_longer_the_same(
    photos: Path, tmp_path: Path
) -> None:
    root = tmp_path / "splits"
    shutil.copytree(photos, root / "train")
    write_pictures(root / "test", {"a": 3, "b": 3}, first=50)
    split = complete_splits(open_dataset(root), val_fraction=0.2, seed=3)
    record = ImageRecord.of(split)
    assert_equal(record.put_back(open_dataset(root), CLASSES), split)
    (root / "test" / "a" / "002.png").rename(root / "train" / "a" / "moved.png")
    assert record.put_back(open_dataset(root), CLASSES) is None
    assert "another split" in record.differences(open_dataset(root), CLASSES)


def test_differences_are_counted_and_named(photos: Path, split: Dataset) -> None:
    record = ImageRecord.of(split)
    names = recorded_names(record, splits_to_json(split), CLASSES)
    assert [(photos / name).read_bytes() for name in names] == [
        Path(split.images.name(number)).read_bytes() for number in range(len(split.labels))
    ]
    picture(900).save(photos / "a" / "001.png")
    (photos / "a" / "002.png").rename(photos / "b" / "102.png")
    for number in range(4):
        (photos / "b" / f"00{number}.png").unlink()
    picture(901).save(photos / "b" / "new.png")
    (photos / "b" / "005.png").rename(photos / "b" / "zzz.png")  # no difference
    assert record.differences(open_dataset(photos), CLASSES, names) == (
        "1 image has changed (a/001.png), 1 image is of another class (b/102.png), "
        "4 images are missing (b/000.png, b/001.png, b/002.png, ...), 1 image is new (b/new.png)"
    )
    assert "5 images are missing, 2 images are new" in record.differences(
        open_dataset(photos), CLASSES
    )


def test_of_equal_images_in_two_splits_that_of_training_counts() -> None:
    images = ArrayImages(np.array([7, 7, 8, 9, 9], np.uint8).reshape(5, 1, 1))
    numbers = {"train": np.array([0]), "val": np.array([3]), "test": np.array([1, 2, 4])}
    record = ImageRecord.of(Dataset("x", ("p",), images, np.zeros(5, np.int64), numbers))
    asked = ArrayImages(np.array([9, 8, 7, 6], np.uint8).reshape(4, 1, 1))
    assert record.split_of(asked.digests()).tolist() == [1, 2, 0, -1]


def test_damage_is_named(split: Dataset) -> None:
    data = ImageRecord.of(split).to_bytes()
    for damaged in (b"", data[:40], data[:-5], b"\x00" * 64):
        with pytest.raises(CheckpointError, match=r"images\.safetensors is damaged"):
            ImageRecord.from_bytes(damaged, "run/images.safetensors")
