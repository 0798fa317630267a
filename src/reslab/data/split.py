"""Which images train, validate and test: stratified, by group, independent of file order.

Within a class, images are ranked by a hash of (seed, purpose, image name) and the first ones are
held out. So the same names and the same seed give the same split on any machine, and an added
image moves hardly any other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reslab.data.arrays import Indices
from reslab.data.dataset import SPLIT_NAMES, Dataset, FileImages, SplitName
from reslab.display.names import shown
from reslab.errors import DataError, UsageError

MAX_VALIDATION_IMAGES = 2_000
_SHARES = (0.25, 0.3, 0.4, 0.5)  # tried where groups do not let a smaller share be held out


def complete_splits(
    dataset: Dataset, *, val_fraction: float, test_fraction: float = 0.2, seed: int
) -> Dataset:
    """Add the splits that a data set lacks; those it has are never touched.

    A set without any split gets a test split. A set without a validation split gets one out of
    train, of at most MAX_VALIDATION_IMAGES images. Shares hold within every class; where there
    are groups, each group stays whole and shares are approximate. Every class keeps at least one
    training image.

    Args:
        dataset: with some splits or none.
        val_fraction: share of train held out for validation; 0 for none.
        test_fraction: share of an unsplit set held out for the test; 0 for none.
        seed: of the ranking.

    Raises:
        DataError: the groups are too large to hold out anything.
    """
    for name, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 <= value < 1:
            raise UsageError(f"{name} must be in [0, 1), received {value}")
    splits: dict[SplitName, Indices] = dict(dataset.splits)
    if not splits:
        everything = np.arange(len(dataset.labels), dtype=np.int64)
        splits = _hold_out(dataset, everything, "test", test_fraction, None, seed)
    if "val" not in splits and "train" in splits:
        splits |= _hold_out(
            dataset, splits["train"], "val", val_fraction, MAX_VALIDATION_IMAGES, seed
        )
    ordered = {name: splits[name] for name in SPLIT_NAMES if name in splits}
    return dataclasses.replace(dataset, splits=ordered)


def _hold_out(
    dataset: Dataset,
    pool: Indices,
    name: SplitName,
    fraction: float,
    cap: int | None,
    seed: int,
) -> dict[SplitName, Indices]:
    """Return {"train": the rest, name: what is held out of the pool}."""
    if fraction == 0:
        return {"train": pool}
    if cap is not None and fraction * len(pool) > cap:
        fraction, bias = cap / len(pool), 0.0  # rounded down, so that the cap holds
    else:
        bias = 0.5
    held = _held(dataset, pool, name, fraction, bias, seed)
    if not len(held):
        if dataset.groups is None and name == "val":
            return {"train": pool}
        raise _nothing_held(dataset, pool, name, fraction, seed)
    rest = np.setdiff1d(pool, held, assume_unique=True)
    return {"train": np.sort(rest), name: np.sort(held)}


def _held(
    dataset: Dataset, pool: Indices, name: SplitName, fraction: float, bias: float, seed: int
) -> Indices:
    """Return the images that are held out for a split: a share of each class, all but one."""
    present = np.bincount(dataset.labels[pool], minlength=len(dataset.classes))
    share = np.floor(present * fraction + bias)
    wanted = np.minimum(share, np.maximum(present - 1, 0)).astype(np.int64)
    choose = _by_image if dataset.groups is None else _by_group
    return choose(dataset, pool, wanted, f"{seed}\0{name}")


def _nothing_held(
    dataset: Dataset, pool: Indices, name: SplitName, fraction: float, seed: int
) -> DataError:
    """Say why nothing could be held out, and which share could be."""
    present = np.bincount(dataset.labels[pool], minlength=len(dataset.classes))
    several = present[present > 1]
    # One image of the smallest class that can spare one; groups are tried out.
    shares = [] if not len(several) else [math.ceil(100 / several.min()) / 100]
    shares += [share for share in _SHARES if not shares or share > shares[0]]
    works = next((s for s in shares if len(_held(dataset, pool, name, s, 0.5, seed))), None)
    largest = int(present.max())
    if dataset.groups is not None and len(several):
        why = "the groups are too large"
    elif largest > 1:
        why = f"no class has more than {largest} images"
    else:
        why = "no class has more than one image"
    remedy = f"use --{name}-fraction {works:g}, " if works is not None else ""
    remedy += f"add images, or use --{name}-fraction 0 to hold out none"
    return DataError(
        f"no {name} split of {fraction:.0%} can be held out of '{shown(dataset.name)}': {why}",
        remedy=remedy,
    )


def _rank(salt: str, key: str) -> bytes:
    text = f"{salt}\0{key}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=8).digest()


def _by_image(dataset: Dataset, pool: Indices, wanted: Indices, salt: str) -> Indices:
    keys = image_keys(dataset)
    ranked = sorted(pool.tolist(), key=lambda index: (_rank(salt, keys[index]), keys[index]))
    left = wanted.tolist()
    held = []
    for index in ranked:
        label = int(dataset.labels[index])
        if left[label] > 0:
            left[label] -= 1
            held.append(index)
    return np.array(held, dtype=np.int64)


def _by_group(dataset: Dataset, pool: Indices, wanted: Indices, salt: str) -> Indices:
    """Take whole groups while that brings the held-out class counts nearer to those wanted."""
    assert dataset.groups is not None
    members: dict[str, list[int]] = {}
    for index in pool.tolist():
        members.setdefault(dataset.groups[index], []).append(index)
    keys = image_keys(dataset)
    # A group of one image that was given none is named by its number, which file order decides.
    named = {g: min(keys[i] for i in those) for g, those in members.items()}
    ranked = sorted(members, key=lambda group: (_rank(salt, named[group]), named[group]))
    left = wanted.copy()
    room = np.bincount(dataset.labels[pool], minlength=len(wanted)) - 1
    held: list[int] = []
    for group in ranked:
        counts = np.bincount(dataset.labels[members[group]], minlength=len(wanted))
        nearer = np.abs(left - counts).sum() < np.abs(left).sum()
        if nearer and (counts <= room)[counts > 0].all():
            left -= counts
            room -= counts
            held += members[group]
    return np.array(held, dtype=np.int64)


def image_keys(dataset: Dataset) -> list[str]:
    """Name every image so that the name stays when the data set is moved to another folder."""
    images = dataset.images
    if isinstance(images, FileImages):
        return list(images.paths)
    return [images.name(index) for index in range(len(images))]


def splits_to_json(dataset: Dataset) -> dict[str, Any]:
    """Return {split: {class name: [image names]}}, to be written into a run."""
    keys = image_keys(dataset)
    value: dict[str, Any] = {}
    for name, indices in dataset.splits.items():
        by_class: dict[str, list[str]] = {class_name: [] for class_name in dataset.classes}
        for index in indices.tolist():
            by_class[dataset.classes[dataset.labels[index]]].append(keys[index])
        value[name] = by_class
    return value


def splits_from_json(dataset: Dataset, value: Mapping[str, Any]) -> Dataset:
    """Give a data set the splits that `splits_to_json` wrote.

    Raises:
        DataError: an image is gone, new, or of another class; the first difference is named.
    """
    keys = image_keys(dataset)
    number = {key: index for index, key in enumerate(keys)}
    class_of = {name: index for index, name in enumerate(dataset.classes)}
    splits: dict[SplitName, Indices] = {}
    used = np.zeros(len(keys), dtype=bool)
    remedy = "restore the data as it was, or begin a new run"
    for name in SPLIT_NAMES:
        if name not in value:
            continue
        indices = []
        for class_name, names in value[name].items():
            for key in names:
                index = number.get(key)
                if index is None:
                    raise DataError(f"{shown(key)} ({name}) is no longer there", remedy=remedy)
                if dataset.labels[index] != class_of.get(class_name, -1):
                    now = dataset.classes[dataset.labels[index]]
                    raise DataError(
                        f"{shown(key)} ({name}) was '{shown(class_name)}' and is now "
                        f"'{shown(now)}'",
                        remedy=remedy,
                    )
                indices.append(index)
        splits[name] = np.array(sorted(indices), dtype=np.int64)
        used[splits[name]] = True
    if not used.all():
        new = shown(keys[int(np.flatnonzero(~used)[0])])
        raise DataError(f"{new} is new since the splits were made", remedy=remedy)
    return dataclasses.replace(dataset, splits=splits)
