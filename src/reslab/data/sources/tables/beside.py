"""Tables inside an image folder: used where they say what the folders do not, never passed over.

``_classes.csv`` in each split, ``labels.csv`` beside ``camera1/ camera2/``, ``train.csv`` beside
``train/ test/``, ``metadata.csv`` of an image folder on a hub. A table that repeats the folders
changes nothing; one that contradicts them is an error; what is no table of labels is named.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from reslab.data.dataset import SplitName
from reslab.data.findings import Finding, count, list_names
from reslab.data.litter import is_litter
from reslab.data.names import shown
from reslab.data.options import DataOptions
from reslab.data.sources.collected import Collected, Listed, collect
from reslab.data.sources.outputs import output_in
from reslab.data.sources.tables.collect import Listing, list_table
from reslab.data.sources.tables.folders import Folders, are_splits
from reslab.data.sources.tables.parse import (
    OTHER_SUFFIXES,
    SUFFIXES,
    AmbiguousTableError,
    NoLabelTableError,
)
from reslab.data.sources.tables.paths import images_below
from reslab.data.sources.tables.roles import plain, split_in_name
from reslab.errors import DataError, UsageError

_TABLE_FOLDERS = frozenset(
    ("annotations", "annotation", "labels", "tables", "csv", "metadata", "meta", "splits")
)


def collect_with_tables(
    folder: Path,
    options: DataOptions,
    *,
    name: str,
    need_train: bool,
    by_folders: Callable[[], Collected],
) -> Collected:
    """List an image folder by the tables in it, or by its folders where they say as much.

    Args:
        folder: to list.
        options: how data are to be read.
        name: of the data set.
        need_train: see `collected.collect`.
        by_folders: lists the folder by the names of its folders.

    Raises:
        UsageError: columns or a root are given, and there is no table.
    """
    files = _table_files(folder)
    if options.label_from_name is not None and not (options.columns or options.root is not None):
        found = by_folders()
        unused = [Finding("ignored", "note", f"{shown(file)} is not used") for file in files]
        return dataclasses.replace(found, findings=(*found.findings, *unused))
    if not files and (options.columns or options.root is not None):
        raise UsageError(
            f"--columns and --root are for tables, and no table is read in {shown(folder)}",
            remedy="leave them out, or give the table as DATA",
        )
    if not files:
        return by_folders()
    listings, refused = _read(files, folder, options)
    found = by_folders()
    if not listings:
        return _without_tables(found, refused)
    listings, unused = _chosen(listings, folder)
    unused += [_not_used(error) for error in refused]
    folders = Folders(found)
    told = "labels come from {}"
    if folders.repeated_by(listings):
        if not folders.lack(listings):
            notes = [_repeating(one, folder) for one in listings]
            return dataclasses.replace(found, findings=(*found.findings, *notes, *unused))
        listings = folders.with_own_names(listings)
        told = "splits, groups and images come from {}, classes from the folders"
    elif folders.classes:
        told += f", not from the folders ({list_names(folders.names)})"
    images, findings = _combined(folder, listings, told)
    findings += unused
    if not any(finding.kind == "table-line" for finding in findings):
        findings += _uncovered(folder, images)
    return collect(name, folder, images, findings, need_train=need_train, options=options)


def _table_files(folder: Path) -> list[Path]:
    """Return what may be tables: in the folder, its splits, and folders for annotations."""
    files = []
    for path in _inside(folder):
        if path.is_dir() and (split_in_name(path.name) or path.name.lower() in _TABLE_FOLDERS):
            files += [p for p in _inside(path) if _may_be_table(p)]
        elif _may_be_table(path):
            files.append(path)
    return files


def _inside(folder: Path) -> list[Path]:
    try:
        listed = sorted(path for path in folder.iterdir() if not is_litter(path.name))
        return [p for p in listed if not (p.is_dir() and output_in(os.fspath(p)))]
    except OSError:
        return []  # the walk through the folders names it


def _may_be_table(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES + OTHER_SUFFIXES and path.is_file()


def _read(
    files: Sequence[Path], folder: Path, options: DataOptions
) -> tuple[list[Listing], list[DataError]]:
    """Read the tables that label images of the folder, and say why others do not."""
    listings: list[Listing] = []
    refused: list[DataError] = []
    for file in files:
        try:
            if "submission" in plain(file.stem):
                raise NoLabelTableError(f"{shown(file)} is a form for answers and has no labels")
            listing = list_table(file, options, anchor=folder)
            if not listing.images and listing.rows:
                first = next((f for f in listing.findings if f.severity == "error"), None)
                if first is None:
                    raise DataError(f"{shown(file)}: none of its lines is about an image here")
                raise DataError(first.message, remedy=first.remedy)
        except DataError as error:
            if _is_unlabelled_test(file, error):
                error = DataError(f"{shown(file)} lists test images without labels")
            if file.suffix.lower() != ".json" or _is_detection(error):
                refused.append(error)
        else:
            listings.append(listing)
    return listings, refused


def _is_detection(error: DataError) -> bool:
    return isinstance(error, NoLabelTableError) and error.detection


def _is_unlabelled_test(file: Path, error: DataError) -> bool:
    lists = isinstance(error, NoLabelTableError) and error.lists_images and not error.detection
    return lists and split_in_name(file.stem) == "test"


def _not_used(error: DataError) -> Finding:
    return Finding(
        "ignored", "warning", f"{error.message}; the table is not used", (), error.remedy
    )


def _without_tables(found: Collected, refused: Sequence[DataError]) -> Collected:
    """Name the tables that were not used; first, as an error, where the folders are no classes."""
    doubtful: list[DataError] = [e for e in refused if isinstance(e, AmbiguousTableError)]
    serious = doubtful or [e for e in refused if _lists_images(e)]
    if not serious or not (doubtful or found.dataset is None or are_splits(found.dataset.classes)):
        others = [_not_used(error) for error in refused]
        return dataclasses.replace(found, findings=(*found.findings, *others))
    first = Finding("table", "error", serious[0].message, (), serious[0].remedy)
    others = [_not_used(error) for error in refused if error is not serious[0]]
    return Collected(None, (first, *found.findings, *others))


def _lists_images(error: DataError) -> bool:
    return not isinstance(error, NoLabelTableError) or error.lists_images


def _chosen(listings: Sequence[Listing], folder: Path) -> tuple[list[Listing], list[Finding]]:
    """Return the tables of splits, where train and another one have a table each; else all.

    Their images are then of those splits. Tables beside them are named.
    """
    words = [_split_of(listing.file, folder) for listing in listings]
    named = [word for word in words if word]
    if "train" not in named or len(named) < 2 or len(set(named)) < len(named):
        return list(listings), []
    kept, others = [], []
    for listing, word in zip(listings, words, strict=True):
        if word is None:
            text = f"{shown(listing.file)} is not used beside the tables of splits"
            others.append(Finding("ignored", "warning", text))
        elif listing.has_splits:
            raise DataError(
                f"{shown(listing.file)} is named {word} and has a column of splits",
                remedy="leave one of them out, or give the table that is meant as DATA",
            )
        else:
            images = [image._replace(split=word) for image in listing.images]
            kept.append(dataclasses.replace(listing, images=images, has_splits=True))
    return kept, others


def _repeating(listing: Listing, folder: Path) -> Finding:
    """Say that a table is not needed; of a split, it may have been meant to say more."""
    word = _split_of(listing.file, folder)
    if word in ("val", "test") and not listing.has_splits:
        text = (
            f"{shown(listing.file)} may list the {word} split, but no table lists train: it is "
            "not used"
        )
        return Finding("ignored", "warning", text, (), "give train a table too")
    faults = sum(finding.severity == "error" for finding in listing.findings)
    but = f"; {count(faults, 'line')} of it with a fault" if faults else ""
    text = f"{shown(listing.file)} says what the folders say, and they are read{but}"
    return Finding("table", "note", text)


def _combined(
    folder: Path, listings: Sequence[Listing], told: str
) -> tuple[list[Listed], list[Finding]]:
    """Put tables together: one alone, or one a split.

    Raises:
        DataError: two tables stand side by side, and nothing says which is meant.
    """
    named = list_names([shown(os.path.relpath(one.file, folder)) for one in listings], most=4)
    findings = [Finding("table", "note", told.format(named))]
    findings += [finding for listing in listings for finding in listing.findings]
    words = [_split_of(listing.file, folder) for listing in listings]
    if len(listings) == 1:
        split = None if words[0] == "train" else words[0]
        images = [i if i.split else i._replace(split=split) for i in listings[0].images]
        return images, findings
    if None in words or len(set(words)) < len(words):
        raise DataError(
            f"{named} all give labels of images in {shown(folder)}",
            remedy="give the one that is meant as DATA, or name them train, val and test",
        )
    images = []
    seen: dict[str, Listing] = {}
    for listing in listings:
        for image in listing.images:
            before = seen.setdefault(image.path, listing)
            if before is listing:
                images.append(image._replace(where=f"{listing.file.name} {image.where}"))
                continue
            text = (
                f"{shown(listing.file)}, {image.where}: {shown(image.path)} is listed already in "
                f"{shown(before.file)}"
            )
            findings.append(Finding("table-line", "error", text, (), "keep one of them"))
    return images, findings


def _split_of(file: Path, folder: Path) -> SplitName | None:
    """Return the split that a table's name speaks of, or that of the folder that it lies in."""
    own = split_in_name(file.stem)
    return own or (None if file.parent == folder else split_in_name(file.parent.name))


def _uncovered(folder: Path, images: Sequence[Listed]) -> list[Finding]:
    """Count the images of the folder that no line is about."""
    listed = {image.path for image in images}
    others = [path for path in images_below(folder) if path not in listed]
    if not others:
        return []
    tops = Counter(f"{p.split('/')[0]}/" if "/" in p else "." for p in others)
    where = ", ".join(f"{shown(top)} {number:,}" for top, number in tops.most_common(3))
    verb = "is" if len(others) == 1 else "are"
    text = (
        f"{count(len(others), 'image')} {verb} in no line with a label and {verb} not used "
        f"({where})"
    )
    paths = tuple(os.path.join(folder, path) for path in others)
    return [Finding("ignored", "warning", text, paths, "add lines for them, or leave them so")]
