"""Classes, splits and groups: what the numbers alone tell."""

from __future__ import annotations

from collections import Counter

import numpy as np

from reslab.data.dataset import SPLIT_NAMES, Dataset, count_by_class
from reslab.data.findings import Finding, count, list_names
from reslab.data.names import shown

TINY_CLASS = 10
IMBALANCE = 10


def check_classes(dataset: Dataset) -> list[Finding]:
    """Name classes that a split lacks, tiny ones, and a strong imbalance."""
    found: list[Finding] = []
    for split in ("val", "test"):
        if split in dataset.splits:
            found += _missing(dataset, split)
    train = dataset.splits.get("train", np.arange(len(dataset.labels)))
    counts = count_by_class(dataset.labels[train], len(dataset.classes))
    tiny = [n for n in np.argsort(counts, kind="stable").tolist() if counts[n] < TINY_CLASS]
    if tiny:
        names = tuple(dataset.classes[n] for n in tiny)
        listed = list_names([f"{dataset.classes[n]} ({counts[n]})" for n in tiny], 6)
        found.append(
            Finding(
                "class-tiny",
                "warning",
                f"{count(len(tiny), 'class', 'classes')} with fewer than {TINY_CLASS} images to "
                f"train on: {listed}",
                remedy="add images of them, or expect them to be guessed badly",
                classes=names,
            )
        )
    least, most = int(np.argmin(counts)), int(np.argmax(counts))
    if counts[least] and counts[most] > IMBALANCE * counts[least]:
        found.append(
            Finding(
                "imbalance",
                "warning",
                f"'{shown(dataset.classes[most])}' has {counts[most]:,} training images, "
                f"'{shown(dataset.classes[least])}' only {counts[least]:,}",
                remedy="train with --class-weights or --balanced, and look at per-class numbers",
                classes=(dataset.classes[most], dataset.classes[least]),
            )
        )
    return found


def _missing(dataset: Dataset, split: str) -> list[Finding]:
    indices = dataset.splits["val" if split == "val" else "test"]
    counts = count_by_class(dataset.labels[indices], len(dataset.classes))
    missing = tuple(c for c, n in zip(dataset.classes, counts, strict=True) if n == 0)
    if not missing:
        return []
    noun = "class has" if len(missing) == 1 else "classes have"
    return [
        Finding(
            "class-missing",
            "warning",
            f"{len(missing)} {noun} no image in {split}: {list_names(missing, 6)}",
            remedy=f"add images to {split}, or their accuracy stays unknown",
            classes=missing,
        )
    ]


def check_groups(dataset: Dataset) -> list[Finding]:
    """Name the groups that are spread over splits: the test would see what was trained on."""
    if dataset.groups is None:
        return []
    spread: dict[str, Counter[str]] = {}
    members: dict[str, list[int]] = {}
    for split in SPLIT_NAMES:
        for index in dataset.splits.get(split, np.zeros(0, dtype=np.int64)).tolist():
            group = dataset.groups[index]
            spread.setdefault(group, Counter())[split] += 1
            members.setdefault(group, []).append(index)
    return [
        Finding(
            "group-torn",
            "error",
            f"group '{shown(group)}' is spread over splits "
            f"({', '.join(f'{n} in {split}' for split, n in counts.items())})",
            tuple(dataset.images.name(index) for index in members[group]),
            "put the whole group in one split, or leave groups out with --columns group=none",
        )
        for group, counts in sorted(spread.items())
        if len(counts) > 1
    ]
