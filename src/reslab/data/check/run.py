"""Data set -> report: the cheap checks that training runs first, and the thorough ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reslab.data.check.balance import check_classes, check_groups
from reslab.data.check.duplicates import find_duplicates
from reslab.data.check.files import check_headers
from reslab.data.check.pixels import look_at
from reslab.data.dataset import Dataset, count_by_class
from reslab.data.decode import Rules
from reslab.data.findings import SEVERITIES, Finding, count
from reslab.data.split import complete_splits
from reslab.data.used_bits import check_used_bits, find_used_bits
from reslab.display.short import short_repr
from reslab.errors import DataError

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Args:
        name: of the data set.
        num_images: how many images it has, all splits together.
        classes: class names, in the order of the logits.
        counts: for each split (or "all" in a set that is not split) the images of each class.
        findings: errors first, then warnings, then notes.
        decoded: how many images were decoded; 0 for the cheap part alone.
        headers: how many file headers were read.
    """

    name: str
    num_images: int
    classes: tuple[str, ...]
    counts: Mapping[str, Sequence[int]]
    findings: tuple[Finding, ...]
    decoded: int = 0
    headers: int = 0

    __repr__ = short_repr

    @property
    def ok(self) -> bool:
        """Tell whether there is no error; warnings are allowed."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; scripts may rely on ok, num_images, classes and findings."""
        return {
            "ok": self.ok,
            "name": self.name,
            "num_images": self.num_images,
            "classes": list(self.classes),
            "splits": {split: list(counts) for split, counts in self.counts.items()},
            "decoded": self.decoded,
            "headers": self.headers,
            "findings": [finding.to_json() for finding in self.findings],
        }


def check_dataset(
    dataset: Dataset | None,
    *,
    deep: bool,
    workers: int,
    near_duplicates: bool = True,
    earlier: Sequence[Finding] = (),
    progress: Progress | None = None,
) -> CheckReport:
    """Look for what would spoil training or its numbers.

    Args:
        dataset: what to check; None where its source found nothing to build one from.
        deep: decode every image: unreadable files, exact and near duplicates. Otherwise only
            classes, splits, groups and file headers (of a sample where there are very many).
        workers: threads.
        near_duplicates: part of `deep`.
        earlier: what the source has found already.
        progress: called with (images done, images in all).
    """
    found = list(earlier)
    if dataset is None:
        return CheckReport("", 0, (), {}, _sorted(found))
    found += check_classes(dataset)
    found += check_groups(dataset)
    found += _check_split(dataset)
    if dataset.excluded:
        found.append(_excluded(dataset))
    headers = check_headers(dataset, workers=workers, everything=deep)
    found += headers.findings
    decoded = 0
    if deep:
        used = find_used_bits(dataset)
        found += check_used_bits(dataset, used, workers)
        looks = look_at(
            dataset,
            workers=workers,
            known=headers.unreadable,
            rules=Rules() if used is None else Rules(bit_depth=used.bit_depth),
            progress=progress,
        )
        found += looks.findings
        found += find_duplicates(dataset, looks, near=near_duplicates)
        decoded = len(looks.numbers)
    counts = {
        str(split): count_by_class(dataset.labels[indices], len(dataset.classes))
        for split, indices in dataset.splits.items()
    } or {"all": count_by_class(dataset.labels, len(dataset.classes))}
    return CheckReport(
        dataset.name,
        len(dataset.labels),
        dataset.classes,
        counts,
        _sorted(found),
        decoded=decoded,
        headers=headers.read,
    )


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Put errors before warnings and these before notes; keep the order otherwise."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _check_split(dataset: Dataset) -> list[Finding]:
    """Tell where a set that is not split yet has too few images to hold out a test."""
    try:
        complete_splits(dataset, val_fraction=0.0, seed=0)
    except DataError as error:
        return [Finding("no-test", "error", error.message, (), error.remedy)]
    return []


def _excluded(dataset: Dataset) -> Finding:
    return Finding(
        "excluded",
        "warning",
        f"{count(len(dataset.excluded), 'image')} left out because they cannot be read",
        tuple(dataset.excluded),
        "mend or remove them",
    )
