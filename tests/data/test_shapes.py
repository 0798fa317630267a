"""Drawn shapes: the same seed gives the same bytes, and the classes can be told apart."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from reslab.data.open import open_dataset
from reslab.data.shapes import (
    SHAPE_NAMES,
    ShapeSettings,
    draw,
    open_shapes,
    parse_settings,
    write_folder,
)
from reslab.errors import UsageError


def digest(folder: Path) -> str:
    value = hashlib.sha256()
    for path in sorted(folder.rglob("*.jpg")):
        value.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return value.hexdigest()


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        write_folder(tmp_path / name, ShapeSettings(num=24, size=20, seed=seed))
    assert digest(tmp_path / "one") == digest(tmp_path / "two") != digest(tmp_path / "three")


def test_a_larger_set_begins_with_the_smaller_one() -> None:
    small, large = ShapeSettings(num=20, size=16), ShapeSettings(num=4000, size=16)
    assert all((draw(small, i) == draw(large, i)).all() for i in range(20))
    assert open_shapes(large).splits["test"][:4].tolist() == [40, 41, 42, 43]


@pytest.mark.parametrize("grey", [False, True])
def test_folder_and_memory_agree(tmp_path: Path, grey: bool) -> None:
    settings = ShapeSettings(num=60, size=32, classes=5, grey=grey)
    files = write_folder(tmp_path / "out", settings, layout="split")
    written, drawn = open_dataset(tmp_path / "out"), open_shapes(settings)
    assert written.classes == drawn.classes
    assert len(files) == len(written.images) == 60
    by_file = {written.images.name(i): i for i in range(60)}
    for number, file in enumerate(files):
        index = by_file[str(file)]
        assert written.labels[index] == drawn.labels[number]
        assert (index in written.split("test")) == (number in drawn.split("test"))
        pixels = written.images.read(index)
        assert pixels.shape == ((32, 32) if grey else (32, 32, 3))
        assert np.abs(pixels.astype(int) - drawn.images.read(number)).mean() < 12  # JPEG


def test_every_class_has_its_share_in_train_and_test() -> None:
    dataset = open_shapes(ShapeSettings(num=200, classes=10))
    assert np.bincount(dataset.labels[dataset.split("train")]).tolist() == [16] * 10
    assert np.bincount(dataset.labels[dataset.split("test")]).tolist() == [4] * 10
    assert dataset.fingerprint() != open_shapes(ShapeSettings(num=200, seed=1)).fingerprint()


def test_the_shape_is_there_and_differs_between_classes() -> None:
    """Cover of the bounding square, from the geometry of each outline."""
    from reslab.data.shapes import _mask

    area = {}
    for name in SHAPE_NAMES:
        covers = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            radius = np.random.default_rng(seed).uniform(0.2, 0.42)
            covers.append(_mask(name, 100, rng).sum() / 100**2 / radius**2)
        area[name] = float(np.mean(covers))
        assert np.std(covers) < 0.15  # of any size and turn, wholly inside
    assert area["circle"] == pytest.approx(np.pi, abs=0.15)
    assert area["square"] == pytest.approx(2, abs=0.15)
    assert area["triangle"] == pytest.approx(3**1.5 / 4, abs=0.15)
    assert area["ring"] == pytest.approx(np.pi * (1 - 0.36), abs=0.2)
    assert area["ellipse"] == pytest.approx(np.pi * 0.48, abs=0.15)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        write_folder(tmp_path, ShapeSettings(num=10, size=8))
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]


def test_settings_are_read_from_a_name() -> None:
    assert parse_settings("size=64,num=30,grey=1") == ShapeSettings(num=30, size=64, grey=True)
    assert open_dataset("shapes:num=30,size=16").images.read(0).shape == (16, 16, 3)
    for text, message in (
        ("sise=3", "did you mean 'size'"),
        ("size=big", "whole number, received 'big'"),
        ("classes=99", "classes must be between 2 and 12"),
        ("num=3", "num must be 10"),
        ("size=2", "size must be between 8 and 4096"),
    ):
        with pytest.raises(UsageError, match=message):
            open_dataset(f"shapes:{text}")
