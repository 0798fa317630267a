"""A name or a path -> data set: the one door through which all data come in.

Here it is told what lies at a path, by names alone; reading it is the matter of the source.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from reslab.data.arrays import Indices
from reslab.data.collect import Collected, DataOptions, raise_first_error
from reslab.data.dataset import Dataset, FileImages, SplitName
from reslab.data.decode import IMAGE_SUFFIXES, decode_file
from reslab.data.sources.archive import archive_stem, is_archive, unpack
from reslab.data.sources.cifar import (
    PYTHON_FOLDERS,
    is_cifar_archive,
    open_cifar_archive,
    open_cifar_folder,
)
from reslab.data.sources.filenames import LabelExpression
from reslab.data.sources.folder import collect_folder
from reslab.data.sources.idx import open_idx_folder
from reslab.data.sources.named import PUBLISHED, cache_folder, open_digits, open_published
from reslab.data.sources.tables.parse import OTHER_SUFFIXES as OTHER_TABLE_SUFFIXES
from reslab.data.sources.tables.parse import SUFFIXES as TABLE_SUFFIXES
from reslab.data.sources.tables.table import collect_table, collect_with_tables
from reslab.data.sources.tree import is_litter, output_in, split_in_name
from reslab.display.names import shown
from reslab.errors import DataError, UsageError, nearest, unknown
from reslab.log import notifier

NAMES = ("digits", *PUBLISHED, "shapes")
_PROBE_SIDE = 64
# Folders beside images in which tables of labels lie.
_TABLE_FOLDERS = frozenset(
    ("annotations", "annotation", "labels", "tables", "csv", "metadata", "meta", "splits")
)
# What the system answers where nothing has a name, or nothing could.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def open_dataset(
    data: str | Path,
    *,
    options: DataOptions | None = None,
    skip_bad: bool = False,
    cache: Path | None = None,
    need_train: bool = True,
    notify: Callable[[str], None] | None = None,
) -> Dataset:
    """Open a named data set, an image folder, a CSV, an archive, CIFAR batches or IDX files.

    A set that is not split yet has no splits; `split.complete_splits` makes them.

    Args:
        data: one of NAMES (``shapes`` takes settings: ``shapes:num=500,size=64``) or a path.
        options: how the data are to be read; None leaves it to what is found.
        skip_bad: decode every file now, and leave out those that cannot be read; they are named
            in `Dataset.excluded`. Otherwise the first of them stops whoever reads it.
        cache: where fetched and unpacked data sets are kept; see `sources.named.cache_folder`.
        need_train: False accepts a set to evaluate on, with one class or without train.
        notify: called with a line for people before anything is fetched, and for each warning;
            None for the log (`reslab.log`).

    Raises:
        UsageError: neither a known name nor a path that exists.
        DataError: the data cannot be read or trained on; names the first fault.
        MachineError: a data set cannot be fetched.
    """
    notify = notifier(notify)
    collected = collect_dataset(
        data, options=options, cache=cache, need_train=need_train, notify=notify
    )
    raise_first_error(collected.findings, where=shown(data))
    if notify is not None:
        for finding in collected.findings:
            about = "data" if finding.severity == "note" else "check"
            notify(f"{about}: {finding.message}")
    assert collected.dataset is not None, "a source without a data set says why"
    return _without_bad(collected.dataset) if skip_bad else collected.dataset


def collect_dataset(
    data: str | Path,
    *,
    options: DataOptions | None = None,
    cache: Path | None = None,
    need_train: bool = True,
    notify: Callable[[str], None] | None = None,
) -> Collected:
    """Open like `open_dataset`, but hand out all faults of folders and CSV files as findings."""
    if not str(data).strip():  # as of "$DATA" that is not set: the working folder is not meant
        raise UsageError("the name of the data is empty", remedy="name a folder or a data set")
    options, notify = options or DataOptions(), notifier(notify)
    if options.label_from_name is not None:
        LabelExpression(options.label_from_name)  # refused here, whatever the data are
    name, _, settings = str(data).partition(":")
    named = isinstance(data, str) and is_name(data)
    try:
        if named:
            _refuse_expression(options, f"'{name}'")
            return _collect_named(name, settings, cache, notify)
        path = Path(os.path.expanduser(data))
        return _collect_path(path, str(data), cache, need_train, options)
    except BrokenPipeError:  # nobody listens to `notify` any more
        raise
    except OSError as error:
        raise DataError(
            f"{shown(error.filename or data)} cannot be read ({error.strerror or error})",
            remedy="check its permissions" if isinstance(error, PermissionError) else "",
        ) from error


def is_name(data: str) -> bool:
    """Tell whether this is the name of a data set, with or without settings, and no path."""
    name, _, settings = data.partition(":")
    return name in NAMES and (not settings or name == "shapes")


def located(data: str) -> str:
    """Return data so that they are found from any folder: a name as it is, a path absolute."""
    return data if is_name(data) else os.path.abspath(os.path.expanduser(data))


def first_there(places: Sequence[str]) -> str:
    """Return the first of several places where data are, by name or path; else the first."""
    there = (place for place in places if is_name(place) or os.path.exists(located(place)))
    return next(there, places[0])


def _collect_named(
    name: str, settings: str, cache: Path | None, notify: Callable[[str], None] | None
) -> Collected:
    if not settings and os.path.lexists(name):
        raise UsageError(
            f"'{name}' is the name of a data set and also a file or folder here",
            remedy=f"write ./{name} for the latter, or go to another folder",
        )
    if name == "shapes":
        from reslab.data.shapes import open_shapes, parse_settings

        return Collected(open_shapes(parse_settings(settings)))
    if name == "digits":
        return Collected(open_digits())
    return Collected(open_published(name, cache, notify))


def _collect_path(
    path: Path, given: str, cache: Path | None, need_train: bool, options: DataOptions
) -> Collected:
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        return _collect_folder(path, path.resolve().name, need_train, options)
    if not stat.S_ISREG(mode):
        if os.sep in given or path.suffix or os.path.lexists(path):
            hint = nearest(path.name, _siblings(path))
            raise UsageError(f"there is no file or folder {shown(given)}", remedy=hint)
        refusal = unknown("data set", shown(given), NAMES)
        raise UsageError(
            f"{refusal.message}, and there is no such file or folder",
            remedy=refusal.remedy or "give the path of a folder or CSV file",
        )
    if path.suffix.lower() in TABLE_SUFFIXES + OTHER_TABLE_SUFFIXES:
        _refuse_expression(options, shown(path))
        return collect_table(path, options=options, need_train=need_train)
    if is_archive(path):
        if is_cifar_archive(path):
            _refuse_expression(options, shown(path))
            return Collected(open_cifar_archive(path))
        unpacked = unpack(path, cache_folder(cache))
        return _collect_folder(unpacked, archive_stem(path), need_train, options)
    what = "a single image" if path.suffix.lower() in IMAGE_SUFFIXES else "no data set"
    raise DataError(
        f"{shown(path)} is {what}",
        remedy="give a folder of class folders, a CSV, or an archive of a folder",
    )


def _collect_folder(folder: Path, name: str, need_train: bool, options: DataOptions) -> Collected:
    def by_folders() -> Collected:
        return collect_folder(folder, name=name, need_train=need_train, options=options)

    if options.label_from_name is not None:
        return by_folders()
    for place in (folder, *(folder / part for part in PYTHON_FOLDERS.values())):
        if _holds_cifar(place):
            return Collected(open_cifar_folder(place))
    for place in (folder, folder / "raw"):
        if _holds_idx(place):
            return Collected(open_idx_folder(place))
    tables = _table_files(folder)
    if tables:
        return collect_with_tables(
            folder, tables, options, name=name, need_train=need_train, by_folders=by_folders
        )
    if options.columns or options.root is not None:
        raise UsageError(
            f"--columns and --root are for tables, and no table is read in {shown(folder)}",
            remedy="leave them out, or give the table as DATA",
        )
    return by_folders()


def _holds_cifar(folder: Path) -> bool:
    """Tell whether a folder holds CIFAR's python or binary batches itself."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    python = {"data_batch_1", "test_batch"} <= names or {"train", "test", "meta"} <= names
    if python and (folder / "train").is_dir():
        python = False
    return python or {"test_batch.bin"} <= names or {"train.bin", "test.bin"} <= names


def _holds_idx(folder: Path) -> bool:
    """Tell whether a folder holds the IDX files of a training split."""
    names = (f"train-images{mark}idx3-ubyte{packed}" for mark in "-." for packed in ("", ".gz"))
    return any((folder / name).is_file() for name in names)


def _table_files(folder: Path) -> list[Path]:
    """Return what may be tables: in the folder, its splits, and folders for annotations."""
    files = []
    for path in _inside(folder):
        if path.is_dir() and (split_in_name(path.name) or path.name.lower() in _TABLE_FOLDERS):
            files += [inner for inner in _inside(path) if _may_be_table(inner)]
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
    return path.suffix.lower() in TABLE_SUFFIXES + OTHER_TABLE_SUFFIXES and path.is_file()


def _refuse_expression(options: DataOptions, data: str) -> None:
    if options.label_from_name is not None:
        raise UsageError(
            f"--label-from-name reads labels from the paths of image files, and {data} brings its "
            "own",
            remedy="leave it out",
        )


def _mode(path: Path) -> int:
    """Return the kind and permissions of a file or folder, 0 where there is none."""
    try:
        return path.stat().st_mode
    except ValueError:  # a zero byte in the name
        return 0
    except OSError as error:
        if error.errno in _NOT_THERE:
            return 0
        raise


def _siblings(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        return []


def _without_bad(dataset: Dataset) -> Dataset:
    """Leave out the images that cannot be decoded, and check that every class survives."""
    images = dataset.images
    if not isinstance(images, FileImages):
        return dataset
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        names = map(images.name, range(len(images)))
        reasons = list(pool.map(_fault, names, chunksize=64))
    good = np.array([i for i, reason in enumerate(reasons) if not reason], dtype=np.int64)
    excluded = {images.name(i): reason for i, reason in enumerate(reasons) if reason}
    return select(dataset, good, excluded) if excluded else dataset


def _fault(path: str) -> str:
    try:
        decode_file(path, at_least=_PROBE_SIDE)
    except DataError as error:
        return error.message
    return ""


def select(dataset: Dataset, kept: Indices, excluded: dict[str, str]) -> Dataset:
    """Return the data set with some of its file images only.

    Args:
        dataset: of files.
        kept: the image numbers that stay, ascending.
        excluded: name and reason of each image that goes.

    Raises:
        DataError: a class loses its last training image.
    """
    images = dataset.images
    assert isinstance(images, FileImages), "only files are left out one by one"
    new_number = np.full(len(dataset.labels), -1, dtype=np.int64)
    new_number[kept] = np.arange(len(kept))
    splits: dict[SplitName, Indices] = {}
    for name, indices in dataset.splits.items():
        moved = new_number[indices]
        splits[name] = moved[moved >= 0]
    labels = dataset.labels[kept]
    train = labels[splits["train"]] if "train" in splits else labels
    for number, class_name in enumerate(dataset.classes):
        if number not in train:
            raise DataError(
                f"no image of class '{shown(class_name)}' can be read "
                f"({len(excluded)} images are bad in all)",
                remedy="mend them or remove the class",
            )
    groups = dataset.groups
    return dataclasses.replace(
        dataset,
        images=images.take(kept),
        labels=labels,
        splits=splits,
        groups=tuple(groups[i] for i in kept.tolist()) if groups is not None else None,
        excluded={**dataset.excluded, **excluded},
    )
