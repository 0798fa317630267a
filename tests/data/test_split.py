"""Splits: shares, groups, seeds, and the way into a run and back."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.data.dataset import ArrayImages, Dataset, FileImages
from reslab.data.split import (
    MAX_VALIDATION_IMAGES,
    complete_splits,
    image_keys,
    splits_from_json,
    splits_to_json,
)
from reslab.errors import DataError, UsageError


def make(
    counts: list[int], groups: list[str] | None = None, order: list[int] | None = None
) -> Dataset:
    labels = np.repeat(np.arange(len(counts)), counts)
    paths = [f"c{label}/{number}.png" for number, label in enumerate(labels.tolist())]
    order = list(range(len(labels))) if order is None else order
    return Dataset(
        name="made",
        classes=tuple(f"c{n}" for n in range(len(counts))),
        images=FileImages(Path("/nowhere"), tuple(paths[i] for i in order)),
        labels=labels[order].astype(np.int64),
        splits={},
        groups=tuple(groups[i] for i in order) if groups else None,
    )


def keys(dataset: Dataset) -> dict[str, set[str]]:
    names = image_keys(dataset)
    return {name: {names[i] for i in held.tolist()} for name, held in dataset.splits.items()}


def test_shares_hold_in_every_class() -> None:
    done = complete_splits(make([100, 50, 10]), val_fraction=0.1, seed=0)
    for split, expected in (("test", [20, 10, 2]), ("val", [8, 4, 1]), ("train", [72, 36, 7])):
        assert np.bincount(done.labels[done.splits[split]]).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    val=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    test=st.sampled_from([0.0, 0.2, 0.9]),
    seed=st.integers(0, 5),
)
def test_every_image_once_and_every_class_in_train(
    counts: list[int], val: float, test: float, seed: int
) -> None:
    dataset = make(counts)
    try:
        done = complete_splits(dataset, val_fraction=val, test_fraction=test, seed=seed)
    except DataError:
        assert max(counts) * test < 1  # nothing that could be held out
        return
    together = np.concatenate(list(done.splits.values()))
    assert sorted(together.tolist()) == list(range(len(dataset.labels)))
    assert set(done.labels[done.splits["train"]].tolist()) == set(range(len(counts)))
    assert all((np.diff(held) > 0).all() for held in done.splits.values())


def test_the_order_of_the_files_does_not_matter() -> None:
    shuffled = np.random.default_rng(0).permutation(60).tolist()
    first = complete_splits(make([30, 30]), val_fraction=0.2, seed=3)
    again = complete_splits(make([30, 30], order=shuffled), val_fraction=0.2, seed=3)
    assert keys(first) == keys(again)
    other = complete_splits(make([30, 30]), val_fraction=0.2, seed=4)
    assert keys(first) != keys(other)


def test_a_moved_folder_keeps_its_splits() -> None:
    dataset = make([30, 30])
    assert isinstance(dataset.images, FileImages)
    moved = dataclasses.replace(dataset, images=FileImages(Path("/else"), dataset.images.paths))
    assert keys(complete_splits(dataset, val_fraction=0.2, seed=0)) == keys(
        complete_splits(moved, val_fraction=0.2, seed=0)
    )


def test_splits_that_are_there_are_not_touched() -> None:
    dataset = make([10, 10])
    given_splits = {"train": np.arange(15), "test": np.arange(15, 20)}
    dataset = dataclasses.replace(dataset, splits=given_splits)
    assert complete_splits(dataset, val_fraction=0.0, seed=0).splits == given_splits
    done = complete_splits(dataset, val_fraction=0.2, seed=0)
    assert done.splits["test"].tolist() == list(range(15, 20))
    assert sorted([*done.splits["train"], *done.splits["val"]]) == list(range(15))
    assert list(done.splits) == ["train", "val", "test"]
    with_val = dataclasses.replace(
        dataset, splits={"train": np.arange(15), "val": np.arange(15, 20)}
    )
    assert set(complete_splits(with_val, val_fraction=0.5, seed=0).splits) == {"train", "val"}


def test_validation_is_capped() -> None:
    pixels = np.zeros((60_000, 1, 1), dtype=np.uint8)
    labels = np.arange(60_000, dtype=np.int64) % 7
    dataset = Dataset("big", tuple("abcdefg"), ArrayImages(pixels), labels, {})
    done = complete_splits(dataset, val_fraction=0.2, seed=0)
    assert MAX_VALIDATION_IMAGES - 7 <= len(done.splits["val"]) <= MAX_VALIDATION_IMAGES
    assert len(done.splits["test"]) == pytest.approx(12_000, abs=7)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [f"patient{n}" for n in rng.integers(0, 40, 300).tolist()]
    done = complete_splits(make([150, 100, 50], groups), val_fraction=0.15, seed=seed)
    where: dict[str, set[str]] = {}
    assert done.groups is not None
    for split, held in done.splits.items():
        for index in held.tolist():
            where.setdefault(done.groups[index], set()).add(split)
    assert all(len(splits) == 1 for splits in where.values())
    assert len(done.splits["test"]) == pytest.approx(60, abs=12)
    assert len(done.splits["val"]) == pytest.approx(36, abs=12)
    assert set(done.labels[done.splits["train"]].tolist()) == {0, 1, 2}


def test_groups_that_are_too_large_are_an_error() -> None:
    with pytest.raises(DataError, match="groups are too large"):
        complete_splits(make([10, 10], ["all"] * 20), val_fraction=0.1, seed=0)


def test_fractions_are_checked() -> None:
    with pytest.raises(UsageError, match="val_fraction must be in"):
        complete_splits(make([5, 5]), val_fraction=1.0, seed=0)


def test_into_a_run_and_back() -> None:
    dataset = make([20, 20])
    done = complete_splits(dataset, val_fraction=0.1, seed=0)
    value = json.loads(json.dumps(splits_to_json(done)))
    shuffled = make([20, 20], order=np.random.default_rng(0).permutation(40).tolist())
    assert keys(splits_from_json(shuffled, value)) == keys(done)
    assert Counter(len(v) for v in splits_from_json(dataset, value).splits.values()) == Counter(
        len(v) for v in done.splits.values()
    )


def test_the_first_difference_is_named() -> None:
    done = complete_splits(make([4, 4]), val_fraction=0.0, test_fraction=0.5, seed=0)
    value = splits_to_json(done)
    with pytest.raises(DataError, match=r"c1/8\.png is new"):
        splits_from_json(make([4, 5]), value)
    with pytest.raises(DataError, match=r"c1/7\.png \(.*\) is no longer there"):
        splits_from_json(make([4, 3]), value)
    relabelled = make([4, 4])
    relabelled.labels[5] = 0
    with pytest.raises(DataError, match=r"c1/5\.png \(.*\) was 'c1' and is now 'c0'"):
        splits_from_json(relabelled, value)


@pytest.mark.parametrize(
    ("counts", "asked", "share"),
    [((2, 2), 0.2, 0.5), ((2, 1), 0.2, 0.5), ((10, 40), 0.01, 0.1), ((3, 3, 3), 0.1, 0.34)],
)
def test_the_share_that_is_proposed_works(
    counts: tuple[int, ...], asked: float, share: float
) -> None:
    dataset = labelled(counts)
    with pytest.raises(DataError, match=rf"use --test-fraction {share:g}, add images") as raised:
        complete_splits(dataset, val_fraction=0, test_fraction=asked, seed=0)
    assert "--test-fraction 0 " in raised.value.remedy
    split = complete_splits(dataset, val_fraction=0, test_fraction=share, seed=0).splits
    held = np.bincount(dataset.labels[split["test"]], minlength=len(counts))
    assert all(1 <= h < n for h, n in zip(held, counts, strict=True) if n > 1)


def test_of_one_image_a_class_nothing_can_be_held_out() -> None:
    dataset = labelled((1, 1, 1))
    with pytest.raises(DataError, match="no class has more than one image; add images, or use"):
        complete_splits(dataset, val_fraction=0, seed=0)
    none_held = complete_splits(dataset, val_fraction=0.1, test_fraction=0, seed=0)
    assert none_held.splits.keys() == {"train"}


def test_the_share_that_is_proposed_for_groups_works() -> None:
    groups = tuple(f"g{number // 4}" for number in range(12)) * 2
    dataset = dataclasses.replace(labelled((12, 12)), groups=groups)
    with pytest.raises(
        DataError, match=r"the groups are too large; use --test-fraction 0\.\d+"
    ) as raised:
        complete_splits(dataset, val_fraction=0, test_fraction=0.05, seed=0)
    share = float(raised.value.remedy.split()[2].rstrip(","))
    split = complete_splits(dataset, val_fraction=0, test_fraction=share, seed=0).splits
    assert len(split["test"]) == 8


def labelled(counts: tuple[int, ...]) -> Dataset:
    labels = np.repeat(np.arange(len(counts)), counts)
    images = ArrayImages(np.zeros((len(labels), 1, 1), np.uint8))
    return Dataset("set", tuple(map(str, range(len(counts)))), images, labels, {})
