"""Table of images and labels -> data set; every fault is named with its line number."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from reslab.data.dataset import SplitName
from reslab.data.findings import Finding, count, list_names
from reslab.data.names import shown
from reslab.data.options import DataOptions
from reslab.data.sources.collected import Collected, Listed, collect
from reslab.data.sources.tables.columns import Columns, choose_columns, with_numbered_columns
from reslab.data.sources.tables.labels import NoLabelError
from reslab.data.sources.tables.parse import NoLabelTableError, Row, Table, read_table
from reslab.data.sources.tables.paths import Found, Missing, Paths, split_of_path
from reslab.data.sources.tables.roles import BOXES, plain, split_in_name
from reslab.data.sources.tables.splits import NoSplitError
from reslab.errors import UsageError

_CLASS_NAMES = ("classes.txt", "class_names.txt", "labels.txt", "label_map.json")


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a table lists.

    Args:
        file: the table.
        images: those without a fault; paths from the anchor on.
        findings: errors of lines, and notes about how the table is read.
        rows: how many rows it has.
        has_splits: whether a column gives the split.
        has_groups: whether a column gives groups.
    """

    file: Path
    images: Sequence[Listed]
    findings: Sequence[Finding]
    rows: int
    has_splits: bool
    has_groups: bool


def collect_table(
    table: Path, *, options: DataOptions | None = None, need_train: bool = True
) -> Collected:
    """List the images of a table.

    Args:
        table: CSV (comma, semicolon, tab or bar), or JSON; UTF-8 or UTF-16. Paths are relative to
            the file, its parent or `options.root`, or absolute.
        options: which columns to use, and where paths start.
        need_train: see `collected.collect`.

    Raises:
        DataError: not text, without paths and labels, or with columns that contradict each other.
    """
    options = options or DataOptions()
    anchor = table.parent if options.root is None else Path(options.root)
    listing = list_table(table, options, anchor=anchor)
    return collect(
        table.stem,
        anchor,
        listing.images,
        listing.findings,
        need_train=need_train,
        options=options,
    )


def list_table(file: Path, options: DataOptions, *, anchor: Path) -> Listing:
    """Read a table and find its images.

    Args:
        file: the table.
        options: see `collect_table`.
        anchor: what the paths that are found are relative to.

    Raises:
        NoLabelTableError: it lists no images, or no labels.
        DataError: see `collect_table`.
    """
    if options.root is not None and not os.path.isdir(options.root):
        raise UsageError(f"--root: there is no folder {shown(options.root)}")
    split = split_in_name(file.stem)
    paths = Paths(file.parent, anchor=anchor, root=options.root, split=split)
    table = read_table(file)
    if not table.header:
        raise NoLabelTableError(
            f"{shown(file)} is empty", remedy="the first line must be: path,label"
        )

    def probe(text: str) -> str:
        found = paths.find(text) if text else None
        return found.path if isinstance(found, Found) else ""

    if table.unit == "line" and file.suffix.lower() != ".jsonl":
        table = with_numbered_columns(table, probe)
    columns = choose_columns(table, options.columns, probe)
    rows = _Rows(table, columns, paths)
    images = rows.complete(list(rows.images()))
    by_folder: Sequence[Finding] = ()
    if "split" not in options.columns:
        images, by_folder = _split_by_folder(file, images)
    return Listing(
        file=file,
        images=images,
        findings=(*rows.found, *rows.notes(images), *by_folder),
        rows=len(table.rows),
        has_splits=any(image.split for image in images),
        has_groups=any(image.group for image in images),
    )


def _split_by_folder(file: Path, images: list[Listed]) -> tuple[list[Listed], list[Finding]]:
    """Take the folders train, val and test that all paths lie in for splits, where no column is."""
    if any(image.split or os.path.isabs(image.path) for image in images):
        return images, []
    splits = [split_of_path(image.path) for image in images]
    if None in splits or "train" not in splits or len(set(splits)) < 2:
        return images, []
    text = (
        f"{shown(file)}: split from the folders of the paths ({list_names(_parts(images))}); "
        "--columns split=none takes all as one set"
    )
    split = [image._replace(split=one) for image, one in zip(images, splits, strict=True)]
    return split, [Finding("table", "note", text)]


def _parts(images: Sequence[Listed]) -> list[str]:
    """Return the folders of paths that speak of a split."""
    parts = {part for image in images for part in image.path.split("/")[:-1]}
    return sorted(part for part in parts if split_in_name(part))


class _Rows:
    """The rows of one table, turned into images one by one."""

    def __init__(self, table: Table, columns: Columns, paths: Paths) -> None:
        self.table = table
        self.found: list[Finding] = []
        self._columns = columns
        self._needed = columns.needed()
        self._paths = paths
        self._seen: dict[tuple[str, str], tuple[Row, str]] = {}
        self._real_folders: dict[str, str] = {}
        self._unlabelled: list[Row] = []
        self._boxes = [name for name in table.header if plain(name) in BOXES]

    def add(self, where: str, message: str, remedy: str) -> None:
        """Add an error about one line."""
        text = f"{shown(self.table.file)}, {where}: {message}"
        place = (f"{self.table.file}:{where}",)
        self.found.append(Finding("table-line", "error", text, place, remedy))

    def images(self) -> Iterator[Listed]:
        """Yield the image of each row that has no fault."""
        for row in self.table.rows:
            try:
                image = self._image(row)
            except _RowError as error:
                self.add(self.table.where(row), error.message, error.remedy)
                continue
            if image is not None:
                yield image
        for fault in self.table.faults:
            self.add(*fault)

    def complete(self, images: list[Listed]) -> list[Listed]:
        """Name what only shows when all rows are read; without its test, train is all there is."""
        splits = {image.split for image in images}
        bare = {self._split(row) for row in self._unlabelled}
        if bare == {"test"} and "test" not in splits:
            number = count(len(self._unlabelled), "row")
            text = f"{shown(self.table.file)}: {number} of test without a label left out"
            self.found.append(Finding("ignored", "warning", text))
            if splits == {"train"}:
                return [image._replace(split=None) for image in images]
        else:
            for row in self._unlabelled:
                self.add(self.table.where(row), "the label is empty", "fill it in")
        if None in splits and len(splits) > 1:
            for image in images:
                if image.split is None:
                    self.add(image.where, "no split, although other lines have one", "fill it in")
        if not self.table.rows and not self.found:
            remedy = "add lines below the column names"
            self.add(f"line {self.table.header_line + 1}", "no images are listed", remedy)
        return images

    def notes(self, images: Sequence[Listed]) -> Iterator[Finding]:
        """Say how the table was read."""
        texts = [*self._columns.notes, *self.table.notes, *self._paths.described()]
        if not self.table.has_header:
            texts.insert(0, "there is no header: columns go by number")
        names = [n for n in _CLASS_NAMES if (self.table.file.parent / n).is_file()]
        if names and all(image.class_name.isdecimal() for image in images):
            texts.append(f"labels are numbers; the names in {names[0]} are not used")
        for text in texts:
            yield Finding("table", "note", f"{shown(self.table.file)}: {text}")

    def _image(self, row: Row) -> Listed | None:
        cells, width = row.cells, len(self.table.header)
        if len(cells) < self._needed:
            message = f"{len(cells)} fields, at least {self._needed} expected"
            raise _RowError(message, "complete it")
        if any(cells[width:]):
            raise _RowError(
                f"{len(cells)} fields, {width} expected",
                "put quotes around a path or label that holds the separator",
            )
        where, text = self.table.where(row), cells[self._columns.path]
        if not text:
            raise _RowError("the path is empty", "fill it in")
        split, label = self._split(row), self._label(cells)
        if not label:
            self._unlabelled.append(row)
            return None
        found = self._paths.find(text, split)
        if isinstance(found, Missing):
            raise _RowError(f"{shown(text)} {found.why}", found.remedy)
        self._paths.count(found)
        self._refuse_repeat(found.path, row, label)
        group = "" if self._columns.group is None else cells[self._columns.group]
        return Listed(found.path, label, split, group, where)

    def _label(self, cells: Sequence[str]) -> str:
        try:
            return self._columns.labels.of(cells)
        except NoLabelError as error:
            raise _RowError(str(error), error.remedy) from None

    def _split(self, row: Row) -> SplitName | None:
        try:
            return self._columns.splits.of(row.cells)
        except NoSplitError as error:
            raise _RowError(str(error), error.remedy) from None

    def _refuse_repeat(self, path: str, row: Row, label: str) -> None:
        place = self._place(path)
        first, before = self._seen.setdefault(place, (row, label))
        if first is row:
            return
        if self._boxes:
            raise NoLabelTableError(
                f"{shown(self.table.file)} is detection data (boxes in {list_names(self._boxes)}; "
                f"{shown(path)} is in {self.table.where(first)} and {self.table.where(row)}); "
                "reslab gives one label an image",
                remedy="cut the objects out into class folders, or write a table of path and label",
                detection=True,
            )
        message = f"{shown(path)} is listed already in {self.table.where(first)}"
        if label != before:
            raise _RowError(
                f"{message} as '{shown(before)}', here as '{shown(label)}'",
                "reslab gives one label an image: keep one of the lines",
            )
        raise _RowError(message, "keep one of them")

    def _place(self, path: str) -> tuple[str, str]:
        """Return the true folder and the name of a file: the same for all spellings of its path."""
        folder, name = os.path.split(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(self._paths.anchor / folder)
        return self._real_folders[folder], name


class _RowError(Exception):
    """What is wrong in one row."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
