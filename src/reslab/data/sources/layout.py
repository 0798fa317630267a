"""The folders of a data set -> which are splits and which name classes, or why that is not certain.

Decided by names and by what lies where, never by counts of images. What is certain is done and
said; what is not is an error that names the likely meaning and what says it.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping, Sequence

from reslab.data.dataset import SplitName
from reslab.data.findings import Finding, Severity, list_names
from reslab.data.names import shown
from reslab.data.sources import vocabulary as words
from reslab.data.sources.collected import SPLIT_WORDS
from reslab.data.sources.filenames import labels_in_names
from reslab.data.sources.scan import Scan


class Report:
    """What is said about a layout, and the folders that are left out of it."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.left_out: list[str] = []

    def add(
        self,
        kind: str,
        message: str,
        paths: Sequence[str] = (),
        remedy: str = "",
        *,
        severity: Severity = "error",
    ) -> None:
        """Add a finding; an error unless said otherwise."""
        self.found.append(Finding(kind, severity, message, tuple(paths), remedy))

    def leave_out(self, folder: str, why: str, remedy: str = "") -> None:
        """Say that a folder is not used."""
        self.left_out.append(folder)
        self.add(
            "ignored",
            f"folder {shown(folder)} {why}",
            [folder],
            remedy or "it is not used; move it away if it should not be there",
            severity="warning",
        )

    @property
    def num_errors(self) -> int:
        """Return how many errors there are so far."""
        return sum(finding.severity == "error" for finding in self.found)


@dataclasses.dataclass(frozen=True)
class Splits:
    """The split folders of a level.

    Args:
        folders: split -> path, in the order of the names of the folders.
        certain: False where an error was reported instead.
    """

    folders: Mapping[SplitName, str] = dataclasses.field(default_factory=dict)
    certain: bool = True


def base(path: str) -> str:
    """Return the name of a folder or file."""
    return os.path.basename(path)


def bases(paths: Sequence[str]) -> list[str]:
    """Return the names of folders or files."""
    return [base(path) for path in paths]


def expression(scan: Scan, above: str, *, skip: int, split: bool = False) -> str:
    """Return the flag that takes a folder's name for the label.

    Args:
        scan: where.
        above: the folder in which the split or class folders lie.
        skip: how many levels are passed over before the label.
        split: the first level below `above` is the split.
    """
    inside = scan.relative(above) if above != scan.root else ""
    levels = inside.count("/") + 1 if inside else 0
    text = "^" + "[^/]+/" * levels + ("(?P<split>[^/]+)/" if split else "") + "[^/]+/" * skip
    return f"--label-from-name '{text}{'(?P<label>[^/]+)' if split else '([^/]+)'}/'"


def step_in(scan: Scan, report: Report, folder: str, *, must_split: bool) -> str:
    """Walk through folders that only wrap the rest, and say so.

    Args:
        scan: where.
        report: what is said.
        folder: where to begin.
        must_split: one class is not enough here, so that a single folder cannot be one.

    Returns:
        The folder in which the split, class or image files lie.
    """
    chain = [folder]
    while not scan.listing(chain[-1]).images:
        inner = _only_one(scan, chain[-1])
        if inner is None or (len(chain) > 1 and _names_split(base(inner))):
            break
        if len(chain) == 1 and words.split_word(base(inner)) and not words.split_word(base(folder)):
            break
        chain.append(inner)
    last = chain[-1]
    if len(chain) == 1 or not _is_inside(scan, chain, must_split=must_split):
        if len(chain) > 1 and must_split and len(scan.folders_with_images(last)) > 1:
            _ask_for_deeper(scan, report, folder, last)
        return folder
    report.add("layout", f"read one level deeper: {shown(scan.relative(last))}", severity="note")
    for wrapper in chain[:-1]:
        for other in scan.listing(wrapper).folders:
            if other not in chain and scan.holds_images(other):
                report.leave_out(other, "lies beside the images and holds masks or other things")
    return last


def _names_split(name: str) -> bool:
    return words.split_and_rest(name) is not None


def _only_one(scan: Scan, folder: str) -> str | None:
    """Return the only sub-folder with images, but for masks and the like beside images."""
    holding = scan.folders_with_images(folder)
    if len(holding) > 1 and any(words.is_image_word(base(inner)) for inner in holding):
        holding = [inner for inner in holding if not words.is_side_word(base(inner))]
    return holding[0] if len(holding) == 1 else None


def _is_inside(scan: Scan, chain: Sequence[str], *, must_split: bool) -> bool:
    """Tell whether the last folder of a chain is certainly where everything lies."""
    last = chain[-1]
    links = [_wraps(above, below) for above, below in itertools.pairwise(chain)]
    if scan.listing(last).images:  # a class, or images with their labels in their names
        return all(links) or (must_split and bool(labels_in_names(scan.listing(last).images)))
    if "train" in {words.split_word(name) for name in bases(scan.folders_with_images(last))}:
        return True
    return links[-1] if must_split else all(links)


def _wraps(above: str, below: str) -> bool:
    """Tell whether the name of an only sub-folder says nothing about what is in it."""
    name, outer = base(below), base(os.path.realpath(above))
    if words.tokens_of(name) == words.tokens_of(outer) != [] or words.is_wrapper(name):
        return True
    split, outer_split = words.split_and_rest(name), words.split_and_rest(outer)
    return split is not None and (outer_split is None or split[0] == outer_split[0])


def _ask_for_deeper(scan: Scan, report: Report, folder: str, last: str) -> None:
    inner = bases(scan.folders_with_images(last))
    report.add(
        "wrapper",
        f"{shown(folder)} holds only one folder with images, {shown(scan.relative(last))}, which "
        f"holds {len(inner)} ({list_names(inner)})",
        [last],
        f"if those are the classes or splits, go one level deeper: give {shown(last)}; or "
        f"{expression(scan, last, skip=0)}",
    )


def find_splits(scan: Scan, report: Report, folder: str) -> Splits:
    """Find the split folders in a folder; a class may be called "train" among others."""
    folders = scan.listing(folder).folders
    named = {inner: split for inner in folders if (split := words.split_word(base(inner)))}
    affixed = words.shared_affix(bases([f for f in folders if f not in named]))
    named |= {inner: affixed[base(inner)] for inner in folders if base(inner) in affixed}
    others = [f for f in scan.folders_with_images(folder) if f not in named]
    likely = _likely(scan, folder, named, others)
    if likely:
        _ask_for_split(scan, report, folder, named, likely)
        return Splits(certain=False)
    if words.class_and_split(bases(folders)):
        _ask_for_joined(report, folders)
        return Splits(certain=False)
    if not named:
        return Splits()
    nested = {inner for inner in named if _is_nested(scan, inner)}
    others = [inner for inner in others if not words.is_side_word(base(inner))]
    if _are_classes(scan, named, nested, others):
        return Splits()
    if len(named) == 1 and others:
        _ask_whether_class(scan, report, folder, next(iter(named)), others)
        return Splits(certain=False)
    twice = _twice(report, named)
    _say_splits(scan, report, {inner: s for inner, s in named.items() if inner not in twice})
    return Splits(_first({inner: named[inner] for inner in folders if inner in named}))


def _first(named: Mapping[str, SplitName]) -> dict[SplitName, str]:
    folders: dict[SplitName, str] = {}
    for inner, split in named.items():
        folders.setdefault(split, inner)
    return folders


def _is_nested(scan: Scan, folder: str) -> bool:
    """Tell whether a split folder holds folders, or nothing at all that could be an image."""
    return bool(scan.folders_with_images(folder)) or not scan.listing(folder).images


def _are_classes(
    scan: Scan, named: Mapping[str, SplitName], nested: set[str], others: Sequence[str]
) -> bool:
    """Tell whether folders that are called like splits are classes among others."""
    if not others:
        return False
    if "train" not in named.values():
        return True
    train = next(inner for inner, split in named.items() if split == "train")
    if train in nested:
        return False
    return len(named) == 1 and not labels_in_names(scan.listing(train).images)


def _likely(
    scan: Scan, folder: str, named: Mapping[str, SplitName], others: Sequence[str]
) -> dict[str, SplitName]:
    """Return the folders that are most likely splits, where their siblings look like splits."""
    names = bases(scan.listing(folder).folders)
    likely = {inner: split for inner in others if (split := words.likely_split(base(inner), names))}
    if "train" in named.values():
        return likely
    alone = len(likely) == len(others) and len(likely) + len(named) > 1
    return likely if alone else {}


def _ask_for_split(
    scan: Scan,
    report: Report,
    folder: str,
    named: Mapping[str, SplitName],
    likely: Mapping[str, SplitName],
) -> None:
    inside = list(likely)
    said = " and ".join(f"'{shown(base(inner))}' is most likely the {s} split" for inner, s in
                        likely.items())  # fmt: skip
    beside = f" beside {list_names(bases(list(named)))}" if named else ""
    rename = ", ".join(f"{shown(base(inner))} to {split}" for inner, split in likely.items())
    both = {**named, **likely}
    deep = any(scan.folders_with_images(inner) for inner in both)
    flag = expression(scan, folder, skip=0, split=True) if deep else expression(
        scan, folder, skip=0
    )  # fmt: skip
    text = f"say so with {flag}" if deep else f"{flag} takes them for classes"
    report.add(
        "split-unclear",
        f"{said}{beside}, which its name does not say for certain",
        inside,
        f"rename {rename}, or {text}",
    )


def _ask_for_joined(report: Report, folders: Sequence[str]) -> None:
    report.add(
        "split-unclear",
        f"folders like {list_names(bases(folders), 4)} name a class and a split in one",
        folders,
        "lay them out as train/<class>, or say which part is which, as --label-from-name "
        "'^(?P<label>.+)_(?P<split>train|test)/'",
    )


def _ask_whether_class(
    scan: Scan, report: Report, folder: str, split: str, others: Sequence[str]
) -> None:
    report.add(
        "split-unclear",
        f"folder {shown(split)} is called like a split and holds folders as one does, but lies "
        f"beside {list_names(bases(others))}, which hold images too",
        [split, *others],
        f"if it is a class: {expression(scan, folder, skip=0)}; if it is the split, move the "
        "others away",
    )


def _twice(report: Report, named: Mapping[str, SplitName]) -> set[str]:
    first: dict[SplitName, str] = {}
    twice = set()
    for inner, split in named.items():
        if split in first:
            twice.add(inner)
            report.add(
                "split-twice",
                f"both {shown(first[split])} and {shown(inner)} are the {split} split",
                [first[split], inner],
                "keep one of them",
            )
        first.setdefault(split, inner)
    return twice


def _say_splits(scan: Scan, report: Report, named: Mapping[str, SplitName]) -> None:
    """Say which folders are taken for which split, where their names are not the plain words."""
    odd = [
        f"{shown(scan.relative(inner))} is taken as {split}"
        for inner, split in named.items()
        if base(inner).lower() not in SPLIT_WORDS
    ]
    if odd:
        report.add("layout", ", ".join(odd), severity="note")
