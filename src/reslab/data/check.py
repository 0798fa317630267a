"""What is wrong with a data set, found before anything trains on it.

The cheap part, which training runs first: classes, splits, groups, file headers. The thorough part
decodes every image (`duplicates`) and looks at the bits that 16-bit images use.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from reslab.data.collect import SEVERITIES, Finding, count, fault_of, list_names, name_unreadable
from reslab.data.dataset import SPLIT_NAMES, Dataset, FileImages, count_by_class
from reslab.data.decode import FULL_BIT_DEPTH, Header, Rules, read_header, used_depth
from reslab.data.duplicates import find_duplicates, look_at
from reslab.data.split import complete_splits
from reslab.display.names import shown
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


# --- classes, splits and groups: what the numbers alone tell --------------------------------------


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


# --- file headers: what cannot be an image, odd sizes and modes, EXIF rotation --------------------


HEADER_LIMIT = 20_000
ODD_SIZE = 4
ODD_ASPECT = 4
_GREY = frozenset({"1", "L", "LA", "La", "I", "F"})


@dataclasses.dataclass(frozen=True)
class HeaderCheck:
    """What the headers say.

    Args:
        findings: about files.
        unreadable: image number -> why its header cannot be read.
        read: how many headers were looked at.
    """

    findings: tuple[Finding, ...]
    unreadable: dict[int, str]
    read: int


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    name: str
    header: Header


def check_headers(dataset: Dataset, *, workers: int, everything: bool) -> HeaderCheck:
    """Read file headers, of an evenly spread sample of HEADER_LIMIT unless `everything`."""
    images = dataset.images
    if not isinstance(images, FileImages):
        return HeaderCheck((), {}, 0)
    numbers = np.arange(len(images))
    if len(numbers) > HEADER_LIMIT and not everything:
        numbers = np.linspace(0, len(images) - 1, HEADER_LIMIT).astype(np.int64)
    paths = [images.name(number) for number in numbers.tolist()]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        results = list(pool.map(_read, paths, chunksize=256))
    files: list[_File] = []
    unreadable: dict[int, str] = {}
    for number, path, result in zip(numbers.tolist(), paths, results, strict=True):
        if isinstance(result, Header):
            files.append(_File(path, result))
        else:
            unreadable[number] = result
    found = name_unreadable({images.name(n): reason for n, reason in unreadable.items()})
    if files:
        found += [*_modes(files), *_sizes(files), *_turned(files)]
    return HeaderCheck(tuple(found), unreadable, len(numbers))


def _read(path: str) -> Header | str:
    try:
        return read_header(path)
    except DataError as error:
        return fault_of(error, str(path))


def _modes(files: Sequence[_File]) -> list[Finding]:
    grey = _where(files, lambda h: h.mode in _GREY or h.mode.startswith("I;16"))
    colour = len(files) - len(grey)
    found = []
    if grey and colour:
        minority = grey if len(grey) <= colour else _where(files, lambda h: not _is_grey(h))
        is_grey, other = ("grey", "colour") if minority is grey else ("colour", "grey")
        found.append(
            _odd(
                "odd-mode",
                minority,
                f"{is_grey} among {other} ones",
                "fine if intended; otherwise the colour may give the class away",
            )
        )
    special = (
        (("CMYK",), "CMYK", "they are converted to RGB without a colour profile"),
        (("RGBA", "LA", "PA", "RGBa", "La"), "with transparency", "they are laid on white"),
        (("I;16", "I;16B", "I;16L", "I;16N"), "16-bit", "they are scaled to 8 bits"),
    )
    for modes, what, remedy in special:
        those = _where(files, lambda h, modes=modes: h.mode in modes)  # type: ignore[misc]
        if those and len(those) < len(files):
            found.append(_odd("odd-format", those, what, remedy))
    animated = _where(files, lambda h: h.animated)
    if animated:
        found.append(_odd("animated", animated, "with several frames", "the first frame is used"))
    return found


def _is_grey(header: Header) -> bool:
    return header.mode in _GREY or header.mode.startswith("I;16")


def _sizes(files: Sequence[_File]) -> list[Finding]:
    sides = np.sqrt([float(f.header.width) * f.header.height for f in files])
    typical = float(np.median(sides))
    odd = np.flatnonzero((sides > ODD_SIZE * typical) | (sides < typical / ODD_SIZE)).tolist()
    found = []
    if odd:
        middle = files[int(np.argmin(np.abs(sides - typical)))].header
        sample = files[odd[0]]
        found.append(
            Finding(
                "odd-size",
                "warning",
                f"{count(len(odd), 'image')} of quite another size than the usual "
                f"{middle.width}x{middle.height}: {shown(sample.name)} is "
                f"{sample.header.width}x{sample.header.height}",
                tuple(files[n].name for n in odd),
                "they are scaled like all others; check that they belong here",
            )
        )
    aspects = np.array([f.header.width / f.header.height for f in files])
    stretch = np.maximum(aspects, 1 / aspects)
    long = np.flatnonzero(stretch > max(ODD_ASPECT, 2 * float(np.median(stretch)))).tolist()
    if long:
        found.append(
            _odd(
                "odd-shape",
                [files[n] for n in long],
                f"more than {ODD_ASPECT} times as long as wide",
                "choose --resize pad or crop, or cut them",
            )
        )
    return found


def _turned(files: Sequence[_File]) -> list[Finding]:
    turned = _where(files, lambda h: h.orientation != 1)
    if not turned:
        return []
    return [
        _odd(
            "exif-rotation",
            turned,
            "stored turned, with an EXIF orientation",
            "they are turned upright here; other tools may not do so",
        )
    ]


def _where(files: Sequence[_File], test: Callable[[Header], bool]) -> list[_File]:
    return [file for file in files if test(file.header)]


def _odd(kind: str, files: Sequence[_File], what: str, remedy: str) -> Finding:
    names = tuple(file.name for file in files)
    message = f"{count(len(files), 'image')} {what}: {list_names(names, 1)}"
    return Finding(kind, "warning", message, names, remedy)


def default_workers() -> int:
    """Return one thread a processor."""
    return os.cpu_count() or 1


# --- 16-bit images: how many bits they use, one answer for all of a data set ----------------------
# Cameras, scanners and microscopes store 10, 12 or 14 bits in files of 16. Scaled by 65535 only 5,
# 17 or 65 of 256 grey levels would be left. Scaling each image by its own maximum would lose what
# brightness means, so the training images decide together, and the model keeps what they said.


_MOST_HEADERS = 1_024
_MOST_DECODED = 128
_EIGHT_BIT_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".bmp"})
# With fewer bits than this the 8 bits that are kept of 16 show visible steps.
_COARSE_BITS = 12


@dataclasses.dataclass(frozen=True)
class UsedBits:
    """What 16-bit images use.

    Args:
        bit_depth: the usual depth (8, 10, 12, 14, 16) that holds every value that was seen.
        typical: the one that holds 999 of 1,000 pixels of each image.
        images: how many images were looked at.
    """

    bit_depth: int
    typical: int
    images: int

    @property
    def is_coarse(self) -> bool:
        """Tell whether a few bright pixels leave hardly any grey levels to the others."""
        return self.bit_depth > _COARSE_BITS >= self.typical


def find_used_bits(dataset: Dataset) -> UsedBits | None:
    """Look at 16-bit training images, spread evenly; None where none are found.

    Stops at the first image that uses all of its bits. Damaged files are left to others.
    """
    images = dataset.images
    if not isinstance(images, FileImages):
        return None
    train = dataset.splits.get("train", np.arange(len(images)))
    numbers = [n for n in train.tolist() if _may_be_wide(images.paths[n])]
    wide = [n for n in _spread(numbers, _MOST_HEADERS) if _is_wide(images.name(n))]
    found = []
    for number in _spread(wide, _MOST_DECODED):
        depths = _depths(images.name(number))
        if depths is not None:
            found.append(depths)
            if depths[1] == FULL_BIT_DEPTH:
                break
    return _together(found)


def check_used_bits(dataset: Dataset, used: UsedBits | None, workers: int) -> list[Finding]:
    """Decode all 16-bit images and say which range is taken, and which images exceed it.

    Args:
        dataset: whose images.
        used: what the training images say.
        workers: threads.
    """
    images = dataset.images
    if used is None or not isinstance(images, FileImages):
        return []
    names = [images.name(n) for n, path in enumerate(images.paths) if _may_be_wide(path)]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        wide = [
            name for name, is_wide in zip(names, pool.map(_is_wide, names), strict=True) if is_wide
        ]
        depths = list(pool.map(_depths, wide))
    if used.is_coarse:
        return [_coarse(used, wide)]
    white = (1 << used.bit_depth) - 1
    found = []
    if used.bit_depth < FULL_BIT_DEPTH:
        message = (
            f"{count(len(wide), 'image')} of 16 bits whose values use {used.bit_depth}: training "
            f"takes {white:,} as white, not 65,535"
        )
        remedy = "train with --bit-depth N if white is another value"
        found.append(Finding("bit-depth", "warning", message, tuple(wide), remedy))
    brighter = [
        name
        for name, depth in zip(wide, depths, strict=True)
        if depth is not None and depth[0] > used.bit_depth
    ]
    if brighter:
        message = f"brighter than {white:,} and clipped: {list_names(brighter)}"
        remedy = "train with --bit-depth 16 to keep all values"
        found.append(Finding("bit-depth", "warning", message, tuple(brighter), remedy))
    return found


def _coarse(used: UsedBits, names: list[str]) -> Finding:
    levels = -(-255 * (1 << used.typical) // 65_535) + 1
    return Finding(
        "bit-depth",
        "warning",
        f"{count(len(names), 'image')} of 16 bits with values up to {used.bit_depth} bits, but 999 "
        f"of 1,000 pixels use {used.typical}: they share {levels} of 256 grey levels",
        tuple(names),
        f"train with --bit-depth {used.typical} if the few bright pixels are faults or marks",
    )


def _may_be_wide(path: str) -> bool:
    return os.path.splitext(path)[1].lower() not in _EIGHT_BIT_SUFFIXES


def _is_wide(name: str) -> bool:
    try:
        return read_header(name).sixteen_bits
    except DataError:
        return False


def _depths(name: str) -> tuple[int, int] | None:
    try:
        return used_depth(name)
    except DataError:
        return None


def _spread(numbers: list[int], most: int) -> list[int]:
    places = np.linspace(0, len(numbers) - 1, min(len(numbers), most)).astype(np.int64)
    return [numbers[place] for place in places.tolist()]


def _together(depths: Sequence[tuple[int, int]]) -> UsedBits | None:
    largest, typical = [d[0] for d in depths], [d[1] for d in depths]
    return UsedBits(max(largest), max(typical), len(largest)) if largest else None
