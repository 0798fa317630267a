"""Table of images and labels -> data set; every fault is named with its line number."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from reslab.data.collect import Collected, DataOptions, Finding, Listed, collect, count, list_names
from reslab.data.dataset import FileImages, SplitName
from reslab.data.sources.tables.columns import (
    BOXES,
    Columns,
    NoLabelError,
    NoSplitError,
    choose_columns,
    with_numbered_columns,
)
from reslab.data.sources.tables.parse import (
    AmbiguousTableError,
    NoLabelTableError,
    Table,
    TableRow,
    plain,
    read_table,
)
from reslab.data.sources.tables.paths import Found, Missing, Paths, images_below, split_of_path
from reslab.data.sources.tree import split_in_name
from reslab.display.names import shown
from reslab.errors import DataError, UsageError

_CLASS_NAMES = ("classes.txt", "class_names.txt", "labels.txt", "label_map.json")


@dataclasses.dataclass(frozen=True)
class TableListing:
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
        need_train: see `collect.collect`.

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


def list_table(file: Path, options: DataOptions, *, anchor: Path) -> TableListing:
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
    return TableListing(
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
        self._seen: dict[tuple[str, str], tuple[TableRow, str]] = {}
        self._real_folders: dict[str, str] = {}
        self._unlabelled: list[TableRow] = []
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

    def _image(self, row: TableRow) -> Listed | None:
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

    def _split(self, row: TableRow) -> SplitName | None:
        try:
            return self._columns.splits.of(row.cells)
        except NoSplitError as error:
            raise _RowError(str(error), error.remedy) from None

    def _refuse_repeat(self, path: str, row: TableRow, label: str) -> None:
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


# --- tables inside an image folder: used where they say what the folders do not -------------------
# ``_classes.csv`` in each split, ``labels.csv`` beside ``camera1/ camera2/``, ``train.csv`` beside
# ``train/ test/``, ``metadata.csv`` of an image folder on a hub. A table that repeats the folders
# changes nothing; one that contradicts them is an error; what is no table of labels is named.


def collect_with_tables(
    folder: Path,
    files: Sequence[Path],
    options: DataOptions,
    *,
    name: str,
    need_train: bool,
    by_folders: Callable[[], Collected],
) -> Collected:
    """List an image folder by the tables in it, or by its folders where they say as much.

    Args:
        folder: to list.
        files: in it, which may be tables.
        options: how data are to be read.
        name: of the data set.
        need_train: see `collect.collect`.
        by_folders: lists the folder by the names of its folders.
    """
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


def _read(
    files: Sequence[Path], folder: Path, options: DataOptions
) -> tuple[list[TableListing], list[DataError]]:
    """Read the tables that label images of the folder, and say why others do not."""
    listings: list[TableListing] = []
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


def _chosen(
    listings: Sequence[TableListing], folder: Path
) -> tuple[list[TableListing], list[Finding]]:
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


def _repeating(listing: TableListing, folder: Path) -> Finding:
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
    folder: Path, listings: Sequence[TableListing], told: str
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
    seen: dict[str, TableListing] = {}
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


# --- tables held against the folders: repeated, completed or contradicted -------------------------


_USE_IT = "give the table itself as DATA to use its labels, or move it out of the folder"


def are_splits(classes: Sequence[str]) -> bool:
    """Tell whether folders are no classes: train_images against test_images."""
    return 2 * sum(split_in_name(name) is not None for name in classes) > len(classes)


class Folders:
    """What the folders alone say of each image: its class and its split.

    Args:
        found: what was listed by the names of the folders; nothing is said where that has errors.
    """

    def __init__(self, found: Collected) -> None:
        self.classes: dict[str, str] = {}
        self.splits: dict[str, SplitName] = {}
        dataset = found.dataset
        wrong = any(finding.severity == "error" for finding in found.findings)
        if dataset is None or wrong or not isinstance(dataset.images, FileImages):
            return
        if are_splits(dataset.classes):
            return
        paths = dataset.images.paths
        names = (dataset.classes[label] for label in dataset.labels.tolist())
        self.classes = dict(zip(paths, names, strict=True))
        for split, numbers in dataset.splits.items():
            self.splits |= {paths[number]: split for number in numbers.tolist()}

    @property
    def names(self) -> list[str]:
        """The classes."""
        return sorted(set(self.classes.values()))

    def repeated_by(self, listings: Sequence[TableListing]) -> bool:
        """Tell whether tables make the same classes as the folders, if under other names.

        Raises:
            DataError: they agree with the folders for a part, or cover a small part otherwise.
        """
        if not self.classes:
            return False
        pairs = [
            (listing, image, self.classes[image.path])
            for listing in listings
            for image in listing.images
            if image.path in self.classes
        ]
        differing = [pair for pair in pairs if pair[1].class_name.casefold() != pair[2].casefold()]
        names = {(image.class_name, name) for _, image, name in pairs}
        one_to_one = len(names) == len({a for a, _ in names}) == len({b for _, b in names})
        if pairs and (not differing or one_to_one):
            return True
        if len(differing) < len(pairs):
            listing, image, name = differing[0]
            raise DataError(
                f"{shown(listing.file)}, {image.where}: {shown(image.path)} is "
                f"'{shown(image.class_name)}', but its folder says '{shown(name)}' "
                f"({len(differing):,} of {count(len(pairs), 'image')} differ)",
                remedy=_USE_IT,
            )
        if 2 * len(pairs) < len(self.classes):
            raise DataError(
                f"{shown(listings[0].file)} labels {len(pairs):,} of {len(self.classes):,} images, "
                f"and the folders are classes too ({list_names(self.names)})",
                remedy=_USE_IT,
            )
        return False

    def lack(self, listings: Sequence[TableListing]) -> bool:
        """Tell whether tables say splits, groups or images that the folders do not.

        Raises:
            DataError: they say other splits than the folders.
        """
        images = [(listing, image) for listing in listings for image in listing.images]
        for listing, image in images:
            there = self.splits.get(image.path)
            if image.split and there and image.split != there:
                raise DataError(
                    f"{shown(listing.file)}, {image.where}: {shown(image.path)} is of "
                    f"{image.split}, but its folder says {there}",
                    remedy=_USE_IT,
                )
        if any(listing.has_groups for listing in listings):
            return True
        if any(listing.has_splits for listing in listings) and not self.splits:
            return True
        return any(image.path not in self.classes for _, image in images)

    def with_own_names(self, listings: Sequence[TableListing]) -> list[TableListing]:
        """Return tables with the folders' classes in place of their own, and with their splits."""
        own = {
            image.class_name: self.classes[image.path]
            for listing in listings
            for image in listing.images
            if image.path in self.classes
        }

        def renamed(image: Listed) -> Listed:
            name = self.classes.get(image.path) or own.get(image.class_name, image.class_name)
            return image._replace(class_name=name, split=image.split or self.splits.get(image.path))

        return [
            dataclasses.replace(listing, images=[renamed(image) for image in listing.images])
            for listing in listings
        ]
