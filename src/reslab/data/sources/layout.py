"""The top folders of a data set -> which are splits, or why that is not certain.

Decided by names and by what lies where, never by counts of images. What is certain is done and
said; what is not is an error that names the likely meaning and what says it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from reslab.data.dataset import SplitName
from reslab.data.findings import list_names
from reslab.data.names import shown
from reslab.data.sources import vocabulary as words
from reslab.data.sources.collected import SPLIT_WORDS
from reslab.data.sources.filenames import labels_in_names
from reslab.data.sources.reading import Report, base, bases, expression
from reslab.data.sources.scan import Scan


@dataclasses.dataclass(frozen=True)
class Splits:
    """The split folders of a level.

    Args:
        folders: split -> path, in the order of the names of the folders.
        certain: False where an error was reported instead.
    """

    folders: Mapping[SplitName, str] = dataclasses.field(default_factory=dict)
    certain: bool = True


def find_splits(scan: Scan, report: Report, folder: str) -> Splits:
    """Find the split folders in a folder; a class may be called "train" among others."""
    folders = scan.listing(folder).folders
    named = {inner: split for inner in folders if (split := words.split_word(base(inner)))}
    affixed = words.shared_affix(bases([f for f in folders if f not in named]))
    named |= {inner: affixed[base(inner)] for inner in folders if base(inner) in affixed}
    others = [f for f in scan.folders_with_images(folder) if f not in named]
    if _refuse_unnamed_train(scan, report, folder, named, others):
        return Splits(certain=False)
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
    trains = [inner for inner, split in named.items() if split == "train"]
    hints = {inner for inner in likely if words.split_and_rest(base(inner))}
    if not trains or not _is_nested(scan, trains[0]):  # "test_tube" is a class beside "train"
        likely = {inner: split for inner, split in likely.items() if inner not in hints}
    else:  # the name of another test set says nothing where there is one
        known = set(named.values())
        likely = {f: split for f, split in likely.items() if f not in hints or split not in known}
    if trains:
        return likely
    alone = len(likely) == len(others) and len(likely) + len(named) > 1
    return likely if alone else {}


def _refuse_unnamed_train(
    scan: Scan,
    report: Report,
    folder: str,
    named: Mapping[str, SplitName],
    others: Sequence[str],
) -> bool:
    """Report ``rps`` beside ``rps-test-set``, or ``data`` beside ``test``: train without the word.

    Where both hold images themselves they may be classes, unless the name says nothing at all.
    """
    if "train" in named.values():
        return False
    for held_out in [*named, *others]:
        found = words.split_and_rest(base(held_out))
        if found is None or found[0] == "train":
            continue
        for other in others:
            same = other != held_out and words.says_besides_split(base(other)) == found[1]
            nested = _is_nested(scan, other) and _is_nested(scan, held_out)
            if same and (nested or not found[1]):
                report.add(
                    "split-unclear",
                    f"'{shown(base(held_out))}' is called like a {found[0]} split, which makes "
                    f"'{shown(base(other))}' most likely the train split",
                    [other, held_out],
                    f"rename {shown(base(other))} to train and {shown(base(held_out))} to "
                    f"{found[0]}; if they are classes: {expression(scan, folder, skip=0)}",
                )
                return True
    return False


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
        f"{said}{beside}, but the name does not say so for certain",
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
        f"folder {shown(split)} is called like a split but lies beside "
        f"{list_names(bases(others))}, where there are images too",
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
