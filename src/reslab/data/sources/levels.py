"""Folders that look like classes and hold the same folders each: which level is which."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reslab.data.dataset import SplitName
from reslab.data.findings import list_names
from reslab.data.names import shown
from reslab.data.sources import vocabulary as words
from reslab.data.sources.reading import Report, base, bases, expression
from reslab.data.sources.scan import Scan

_NO_CLASS = frozenset(("images", "imgs", "jpegimages", "jpg", "jpeg", "png"))
Placed = tuple[str, str, SplitName | None]  # folder, class name, split


def splits_in_classes(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> list[Placed] | None:
    """Read ``cat/train``, ``cat/test``, ``dog/train``: classes that hold their splits.

    Args:
        scan: where.
        report: gets an error where that is not certain.
        above: the folder that holds them.
        folders: what may be classes, each with images somewhere below.
        split: the split that they lie in.

    Returns:
        The split folders with their classes; None where no folder holds splits, or after an error.
    """
    inside = {folder: _split_folders(scan, folder) for folder in folders}
    with_train = [f for f, splits in inside.items() if {"train"} < set(splits.values())]
    if not with_train:
        return None
    if split is None and all(_holds_only_splits(scan, f, inside[f]) for f in folders):
        first = inside[with_train[0]]
        report.add(
            "layout",
            "each class folder holds its splits: "
            + ", ".join(f"{shown(scan.relative(f))} is taken as {s}" for f, s in first.items()),
            severity="note",
        )
        return [(f, base(folder), s) for folder in folders for f, s in inside[folder].items()]
    folder = with_train[0]
    names = list_names(bases(list(inside[folder])))
    if all(not scan.listing(f).images and len(set(inside[f].values())) > 1 for f in folders):
        remedy = f"each is a data set of its own: give one of them, as {shown(folder)}"
    else:
        remedy = (
            "lay them out as train/<class>, or say which level is the class: "
            f"{expression(scan, above, skip=0, split=split is not None)}"
        )
    report.add(
        "split-unclear",
        f"folder {shown(folder)} holds splits ({names}) where class folders are expected",
        with_train,
        remedy,
    )
    return None


def _split_folders(scan: Scan, folder: str) -> dict[str, SplitName]:
    return {
        inner: split
        for inner in scan.folders_with_images(folder)
        if (split := words.split_word(base(inner)))
    }


def _holds_only_splits(scan: Scan, folder: str, splits: dict[str, SplitName]) -> bool:
    """Tell whether a class folder holds only one folder of images for each of some splits."""
    return (
        bool(splits)
        and list(splits) == scan.folders_with_images(folder)
        and len(set(splits.values())) == len(splits)
        and not scan.listing(folder).images
        and not any(scan.folders_with_images(inner) for inner in splits)
    )


def refuse_same_folders(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> bool:
    """Report folders that hold the same folders each: either level could be the classes.

    Certain is only one case: the inner folders number pieces (batch1, batch2), the outer do not.
    """
    shared = _same_folders(scan, folders)
    if not shared:
        return False
    outer = bases(folders)
    places, inner_places = words.are_places(outer), words.are_places(shared)
    if inner_places and not places:
        return False
    deep = split is not None
    out, inner = (expression(scan, above, skip=skip, split=deep) for skip in (0, 1))
    meaning = (
        f"the classes are most likely {list_names(shared)}"
        if places and not inner_places
        else "either may be the classes"
    )
    report.add(
        "level-unclear",
        f"the folders {list_names(outer)} hold the same folders each ({list_names(shared)}): "
        f"{meaning}",
        folders,
        f"for the inner ones: {inner}; for the outer ones: {out}",
    )
    return True


def _same_folders(scan: Scan, folders: Sequence[str]) -> list[str]:
    """Return the names that most of some folders have among their sub-folders, if they do.

    Only where the folders hold no images themselves: then it is not certain which level is the
    classes.
    """
    inner = {
        folder: {_key(base(name)): base(name) for name in _countable(scan, folder)}
        for folder in folders
        if not scan.listing(folder).images
    }
    if len(inner) < 2 or len(inner) < 0.8 * len(folders):
        return []
    times: dict[str, int] = {}
    for names in inner.values():
        for key in names:
            times[key] = times.get(key, 0) + 1
    shared: dict[str, str] = {}
    for names in inner.values():
        common = {key: name for key, name in names.items() if times[key] > 1}
        if 2 * len(common) < len(names):
            return []
        shared = {**common, **shared}
    return [shared[key] for key in sorted(shared)] if len(shared) > 1 else []


def _countable(scan: Scan, folder: str) -> list[str]:
    """Return the sub-folders with images, without masks beside a folder of images."""
    inner = scan.folders_with_images(folder)
    if any(words.is_image_word(base(name)) for name in inner):
        return [name for name in inner if not words.is_mask_word(base(name))]
    return inner


def _key(name: str) -> str:
    return re.sub(r"\s+", " ", name.strip().casefold())


def refuse_pieces(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> bool:
    """Report folders whose names number the pieces of one set: folds, parts, shards."""
    names = bases(folders)
    if not words.are_pieces(names):
        return False
    report.add(
        "pieces",
        f"the folders {list_names(names)} are called like pieces of one set, not like classes",
        folders,
        "list the labels in a CSV (path,label), lay the images out as <class>/<image>, or, if the "
        f"pieces are the classes: {expression(scan, above, skip=0, split=split is not None)}",
    )
    return True


def refuse_image_words(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> bool:
    """Report a folder that is only called "images" among what would be classes."""
    odd = [folder for folder in folders if base(folder).lower() in _NO_CLASS]
    if not odd or len(folders) < 2:
        return False
    names = list_names([base(folder) for folder in folders if folder not in odd])
    flag = expression(scan, above, skip=0, split=split is not None)
    report.add(
        "level-unclear",
        f"folder {shown(odd[0])} lies beside {names}: its name is not that of a class",
        odd,
        f"give the folder that holds the class folders; or, if these are the classes: {flag}",
    )
    return True


def refuse_splits_in_split(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> bool:
    """Report a split that holds nothing but split folders: trained on, they would be classes."""
    found = [words.split_and_rest(base(folder)) for folder in folders]
    if split is None or len(found) < 2 or None in found or len({f[0] for f in found if f}) < 2:
        return False
    if len({f[1] for f in found if f}) > 1:
        return False
    report.add(
        "split-unclear",
        f"the {split} split {shown(above)} holds splits again ({list_names(bases(folders))})",
        folders,
        f"give the folder that holds the right ones, as {shown(above)}",
    )
    return True


def refuse_places(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> bool:
    """Report ``camera1`` and ``camera2`` that hold folders, which may be the classes."""
    names = bases(folders)
    inner = sorted({base(name) for folder in folders for name in scan.folders_with_images(folder)})
    numbered = words.are_places(inner) or all(words.are_places([name, name]) for name in inner)
    if not inner or not words.are_places(names) or numbered or all(map(words.is_wrapper, inner)):
        return False
    out, deep = (expression(scan, above, skip=skip, split=split is not None) for skip in (0, 1))
    report.add(
        "level-unclear",
        f"the folders {list_names(names)} are called like the places or pieces of one set, and "
        f"hold folders that may be the classes ({list_names(inner)})",
        folders,
        f"for the inner ones: {deep}; for the outer ones: {out}",
    )
    return True


REFUSALS = (
    refuse_splits_in_split,
    refuse_same_folders,
    refuse_places,
    refuse_pieces,
    refuse_image_words,
)
