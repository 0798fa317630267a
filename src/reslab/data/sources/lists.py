"""Text files beside images that say labels or splits: Tiny-ImageNet, CUB-200-2011, Food-101."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from reslab.data.dataset import SplitName
from reslab.data.findings import count, list_names
from reslab.data.names import shown
from reslab.data.sources import vocabulary as words
from reslab.data.sources.collected import SPLIT_WORDS, Listed
from reslab.data.sources.reading import Report, base
from reslab.data.sources.scan import Scan
from reslab.errors import DataError

_CUB_NAMES, _CUB_SPLITS = "images.txt", "train_test_split.txt"
_ANNOTATIONS = "_annotations.txt"
_LIST_FOLDERS = frozenset({"meta", "splits", "split", "lists", "imagesets"})


def annotated_images(
    scan: Scan, report: Report, folder: str, inner: str, split: SplitName
) -> list[Listed] | None:
    """List a split whose labels stand in ``*_annotations.txt``: name, label, perhaps a box.

    Args:
        scan: where.
        report: gets an error for each fault of the file.
        folder: the split.
        inner: where its images lie, ``folder`` or ``folder/images``.
        split: which it is.

    Returns:
        None where there is no such file.
    """
    files = [path for path in scan.listing(folder).others if base(path).endswith(_ANNOTATIONS)]
    images = scan.listing(inner).images
    if len(files) != 1 or not images:
        return None
    labels = {
        fields[0]: fields[1]
        for line in _lines(files[0])
        if len(fields := line.split("\t") if "\t" in line else line.split()) > 1
    }
    missing = [base(path) for path in images if base(path) not in labels]
    if missing:
        report.add(
            "list-incomplete",
            f"{shown(files[0])} holds no label for {count(len(missing), 'image')} beside it: "
            f"{list_names(missing)}",
            [files[0]],
            "restore the file, or lay the images out as <class>/<image>",
        )
        return []
    report.add(
        "layout",
        f"the labels of {split} are read from {shown(scan.relative(files[0]))}",
        severity="note",
    )
    return [Listed(scan.relative(path), labels[base(path)], split) for path in images]


def with_listed_splits(
    scan: Scan, report: Report, top: str, images: Sequence[Listed]
) -> list[Listed]:
    """Give images the splits that text files beside them say, if they name every image.

    Args:
        scan: where.
        report: what is said; an error where a list and the images differ.
        top: the folder of the class folders.
        images: not split yet.
    """
    if not images or any(image.split for image in images):
        return list(images)
    for folder in _from_here_up(scan, top):
        files = {base(path): path for path in scan.listing(folder).others}
        if {_CUB_NAMES, _CUB_SPLITS} <= files.keys():
            listed = _cub(files[_CUB_NAMES], files[_CUB_SPLITS])
            return _apply(scan, report, top, images, listed, files[_CUB_SPLITS], must_fit=True)
        for place in (folder, *(f for f in scan.listing(folder).folders if _is_list_folder(f))):
            named = _split_files(scan, place)
            if "train" in named and len(named) > 1:
                listed = {
                    line.split()[0]: split
                    for split, path in named.items()
                    for line in _lines(path)
                    if line.split()
                }
                return _apply(scan, report, top, images, listed, named["train"], must_fit=False)
    return list(images)


def _from_here_up(scan: Scan, folder: str) -> Iterator[str]:
    while True:
        yield folder
        if folder == scan.root:
            return
        folder = os.path.dirname(folder)


def _is_list_folder(folder: str) -> bool:
    return base(folder).lower() in _LIST_FOLDERS


def _split_files(scan: Scan, folder: str) -> dict[SplitName, str]:
    """Return train.txt, val.txt and test.txt of a folder."""
    found: dict[SplitName, str] = {}
    for path in scan.listing(folder).others:
        stem, suffix = os.path.splitext(base(path).lower())
        if suffix == ".txt" and stem in SPLIT_WORDS:
            found[SPLIT_WORDS[stem]] = path
    return found


def _cub(names: str, splits: str) -> dict[str, SplitName]:
    """Join ``<number> <path>`` with ``<number> <1 for train>``."""
    path_of = dict(line.split(maxsplit=1) for line in _lines(names) if len(line.split()) > 1)
    flags = dict(line.split(maxsplit=1) for line in _lines(splits) if len(line.split()) > 1)
    return {
        path.strip(): "train" if flags[number].strip() == "1" else "test"
        for number, path in path_of.items()
        if number in flags
    }


def _apply(
    scan: Scan,
    report: Report,
    top: str,
    images: Sequence[Listed],
    listed: Mapping[str, SplitName],
    file: str,
    *,
    must_fit: bool,
) -> list[Listed]:
    """Give every image its split; name the list that does not fit the images."""
    inside = scan.relative(top) + "/" if top != scan.root else ""
    split_of: dict[str, SplitName] = {}
    for path, split in listed.items():
        split_of[os.path.splitext(path)[0] if words.is_image_path(path) else path] = split
    splits = []
    for image in images:
        stem = os.path.splitext(image.path)[0]
        splits.append(split_of.get(stem.removeprefix(inside)) or split_of.get(stem))
    missing = [x.path for x, split in zip(images, splits, strict=True) if split is None]
    where = shown(scan.relative(file))
    if missing:
        report.add(
            "list-incomplete",
            f"{where} says no split for {len(missing):,} of {count(len(images), 'image')}: "
            f"{list_names(missing)}",
            [file],
            "restore it, or remove it to have the images split anew"
            if must_fit
            else "the list is not used; remove it, or lay the images out as train/<class>/<image>",
            severity="error" if must_fit else "warning",
        )
        return list(images)
    counts = ", ".join(f"{name} {splits.count(name):,}" for name in dict.fromkeys(splits) if name)
    report.add("layout", f"the splits are read from {where} ({counts})", severity="note")
    return [x._replace(split=split) for x, split in zip(images, splits, strict=True)]


def _lines(path: str) -> list[str]:
    """Read the lines of a text file."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [line.rstrip("\r\n") for line in file if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"{shown(path)} is not UTF-8", remedy="save the file as UTF-8") from None
