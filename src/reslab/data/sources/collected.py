"""Listed images -> data set and findings: the class rules that every listing obeys.

Class order is the sorted names of train alone. Validation and test never add a class and never
shift one: labels go by name.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reslab.data.dataset import SPLIT_NAMES, Dataset, FileImages, SplitName
from reslab.data.findings import Finding
from reslab.data.names import shown
from reslab.data.options import DataOptions
from reslab.data.sources.alike import alike_findings, merged_names

SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


class Listed(NamedTuple):
    """One image of a folder or table.

    Args:
        path: relative to the root, or absolute; with forward slashes.
        class_name: its label.
        split: where it belongs, or None in a set that is not split.
        group: what must not be torn apart; empty where there are no groups.
        where: how to point at it ("line 17"), empty to point by its path.
    """

    path: str
    class_name: str
    split: SplitName | None
    group: str = ""
    where: str = ""


@dataclasses.dataclass(frozen=True)
class Collected:
    """What a source found: the data set as far as it is sound, and everything that is not.

    Args:
        dataset: without the images that findings rule out; None where too little is left.
        findings: errors and warnings of the source itself.
    """

    dataset: Dataset | None
    findings: tuple[Finding, ...] = ()


def collect(
    name: str,
    root: Path,
    images: Sequence[Listed],
    findings: Sequence[Finding],
    *,
    need_train: bool = True,
    options: DataOptions | None = None,
) -> Collected:
    """Apply the class rules to a listing and build the data set.

    Args:
        name: of the data set.
        root: what relative paths start from.
        images: everything that was listed.
        findings: what the source has found already; it comes first in the result.
        need_train: ask for a training split (or an unsplit set) of two classes or more; a set
            to evaluate on may have any.
        options: say whether classes whose names differ invisibly are one; None for an error.
    """
    found = list(findings)
    if not images:
        return Collected(None, tuple(found))
    images, similar = _with_similar(images, options.merge_similar_classes if options else None)
    found += similar
    in_train = {image.class_name for image in images if image.split in (None, "train")}
    if not in_train and not need_train:
        in_train = {image.class_name for image in images}
    classes = tuple(sorted(in_train))
    alike = {name for finding in similar for name in finding.classes}
    found += _class_findings(root, images, classes, alike, need_train)
    kept = [image for image in images if image.class_name in in_train]
    if len(classes) < (2 if need_train else 1) or not kept:
        return Collected(None, tuple(found))
    grouped = any(image.group for image in kept)
    number = {class_name: index for index, class_name in enumerate(classes)}
    dataset = Dataset(
        name=name,
        classes=classes,
        images=FileImages(root, tuple(image.path for image in kept)),
        labels=np.array([number[image.class_name] for image in kept], dtype=np.int64),
        splits={
            split: np.array([i for i, x in enumerate(kept) if x.split == split], dtype=np.int64)
            for split in SPLIT_NAMES
            if any(image.split == split for image in kept)
        },
        groups=_group_names(kept) if grouped else None,
    )
    return Collected(dataset, tuple(found))


def _with_similar(
    images: Sequence[Listed], merge: bool | None
) -> tuple[Sequence[Listed], list[Finding]]:
    """Treat classes whose names differ invisibly as was asked for."""
    counts = Counter(image.class_name for image in images)
    if merge is None:
        return images, alike_findings(counts)
    if not merge:
        return images, []
    in_train = Counter(x.class_name for x in images if x.split in (None, "train"))
    renamed, notes = merged_names(counts, in_train)
    return [
        image._replace(class_name=renamed.get(image.class_name, image.class_name))
        for image in images
    ], notes


def _group_names(images: Sequence[Listed]) -> tuple[str, ...]:
    """Give every image without a group one of its own."""
    return tuple(image.group or f"\0{number}" for number, image in enumerate(images))


def _class_findings(
    root: Path,
    images: Sequence[Listed],
    classes: Sequence[str],
    alike: Set[str],
    need_train: bool,
) -> list[Finding]:
    found = []
    if need_train and not classes:
        there = ", ".join(sorted({image.split for image in images if image.split}))
        found.append(
            Finding("no-train", "error", f"there is no training split (only {there})", (), "add it")
        )
        return found
    if need_train and len(classes) == 1:
        found.append(
            Finding(
                "one-class",
                "error",
                f"there is only one class, '{shown(classes[0])}'",
                (),
                "a classifier needs two or more class folders or labels",
                tuple(classes),
            )
        )
    known = set(classes)
    for split in ("val", "test"):
        here = [image for image in images if image.split == split]
        if not here:
            continue
        for extra in sorted({image.class_name for image in here} - known - alike):
            found.append(_extra_class(root, extra, split, here))
    return found


def _extra_class(root: Path, extra: str, split: str, here: Sequence[Listed]) -> Finding:
    those = [image for image in here if image.class_name == extra]
    at = f" ({those[0].where})" if those[0].where else ""
    return Finding(
        "class-extra",
        "error",
        f"class '{shown(extra)}' of {split}{at} does not occur in train "
        f"({len(those)} image{'s' if len(those) > 1 else ''})",
        tuple(os.path.join(root, image.path) for image in those),
        f"add training images of it, rename it, or take it out of {split}",
        (extra,),
    )
