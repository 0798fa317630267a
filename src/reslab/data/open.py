"""A name or a path -> data set: the one door through which all data come in."""

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
from reslab.data.dataset import Dataset, FileImages, SplitName
from reslab.data.decode import IMAGE_SUFFIXES, decode_file
from reslab.data.findings import raise_first_error
from reslab.data.names import shown
from reslab.data.options import DataOptions
from reslab.data.shapes import open_shapes, parse_settings
from reslab.data.sources.archive import archive_stem, is_archive, unpack
from reslab.data.sources.cifar import (
    PYTHON_FOLDERS,
    is_cifar_archive,
    is_cifar_folder,
    open_cifar_archive,
    open_cifar_folder,
)
from reslab.data.sources.collected import Collected
from reslab.data.sources.digits import open_digits
from reslab.data.sources.download import PUBLISHED, cache_folder, open_published
from reslab.data.sources.filenames import LabelExpression
from reslab.data.sources.folder import collect_folder
from reslab.data.sources.idx import is_idx_folder, open_idx_folder
from reslab.data.sources.tables.beside import collect_with_tables
from reslab.data.sources.tables.collect import collect_table
from reslab.data.sources.tables.parse import OTHER_SUFFIXES as OTHER_TABLE_SUFFIXES
from reslab.data.sources.tables.parse import SUFFIXES as TABLE_SUFFIXES
from reslab.errors import DataError, UsageError, nearest, unknown
from reslab.log import notifier

NAMES = ("digits", *PUBLISHED, "shapes")
_PROBE_SIDE = 64
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
        cache: where fetched and unpacked data sets are kept; see `sources.download.cache_folder`.
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
    if options.label_from_name is not None:
        return collect_folder(folder, name=name, need_train=need_train, options=options)
    inner = [folder / part for part in PYTHON_FOLDERS.values()]
    for place in (folder, *inner):
        if is_cifar_folder(place):
            return Collected(open_cifar_folder(place))
    for place in (folder, folder / "raw"):
        if is_idx_folder(place):
            return Collected(open_idx_folder(place))
    return collect_with_tables(
        folder,
        options,
        name=name,
        need_train=need_train,
        by_folders=lambda: collect_folder(
            folder, name=name, need_train=need_train, options=options
        ),
    )


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
