"""A file of any usual form -> header and rows, each with the line that it stands on."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reslab.data.collect import UNUSED, count, list_names
from reslab.data.decode import IMAGE_SUFFIXES
from reslab.display.names import shown
from reslab.errors import DataError, nearest

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")
# Not read, but named with what to do.
OTHER_SUFFIXES = (".xlsx", ".xls", ".ods", ".parquet")
_DELIMITERS = ",;\t|"
_MAGIC = (
    (b"PK\x03\x04", "an Excel workbook or another zip", "save the sheet as 'CSV UTF-8'"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save the sheet as 'CSV UTF-8'"),
    (b"PAR1", "a Parquet file", "write it as CSV, e.g. pandas.read_parquet(...).to_csv(...)"),
    (b"\x1f\x8b", "compressed by gzip", "unpack it with gunzip"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
)


class NoLabelTableError(DataError):
    """A file that holds no labels of images.

    Args:
        message: what it is instead.
        remedy: what to do where it should be one.
        lists_images: it lists images, but no label of each.
        detection: it has objects with places in the images.
    """

    def __init__(
        self, message: str, *, remedy: str = "", lists_images: bool = False, detection: bool = False
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.lists_images = lists_images or detection
        self.detection = detection


class AmbiguousTableError(DataError):
    """A table of images whose columns do not say which is meant, or contradict each other."""


class TableRow(NamedTuple):
    """One record: the number of its line (or image), and its fields without outer spaces."""

    number: int
    cells: list[str]


class Fault(NamedTuple):
    """What is wrong in one place of a table."""

    where: str
    message: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A header and rows.

    Args:
        file: where they come from.
        header: the columns' names; "1", "2", ... in a table without.
        rows: all records that are not blank.
        faults: places that could not be read.
        unit: what a row's number counts: "line" or "image".
        header_line: the line that the header stands on.
        has_header: whether the file itself names its columns.
        notes: what was done to read it, a sentence each.
    """

    file: Path
    header: tuple[str, ...]
    rows: Sequence[TableRow]
    faults: tuple[Fault, ...] = ()
    unit: str = "line"
    header_line: int = 1
    has_header: bool = True
    notes: tuple[str, ...] = ()

    def without_header(self) -> Table:
        """Return the table whose first line is a record too, its columns named by number."""
        first = TableRow(self.header_line, list(self.header))
        numbers = tuple(str(n + 1) for n in range(len(self.header)))
        return dataclasses.replace(self, header=numbers, rows=[first, *self.rows], has_header=False)

    def column(self, index: int) -> Iterator[str]:
        """Yield the field of each row in a column; empty where the row is too short."""
        return (row.cells[index] if index < len(row.cells) else "" for row in self.rows)

    def once(self, column: int) -> int:
        """Return a column whose name no other one has.

        Raises:
            DataError: another one has it.
        """
        name = self.header[column]
        if self.header.count(name) > 1:
            raise DataError(
                f"{shown(self.file)}, line {self.header_line}: column '{shown(name)}' occurs twice",
                remedy="rename one of them",
            )
        return column

    def where(self, row: TableRow) -> str:
        """Say which row that is."""
        return f"{self.unit} {row.number}"


def plain(name: str) -> str:
    """Return a column's name without case, spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


def find_column(table: Table, header: str) -> int | None:
    """Return the column that the user named by header or number; None for "none".

    Raises:
        DataError: there is no such column.
    """
    if header == UNUSED:
        return None
    if header in table.header:
        return table.once(table.header.index(header))
    alike = [n for n, name in enumerate(table.header) if plain(name) == plain(header) != ""]
    if len(alike) == 1:
        return alike[0]
    if header.isdecimal() and 1 <= int(header) <= len(table.header):
        return int(header) - 1
    raise DataError(
        f"{shown(table.file)} has no column '{shown(header)}' (found: {list_header(table)})",
        remedy=nearest(header, table.header) or "name one of those",
    )


def list_header(table: Table) -> str:
    """Join the columns' names for a message."""
    return list_names([name or "(no name)" for name in table.header], most=12) or "nothing"


def read_table(file: Path) -> Table:
    """Read a file by its suffix.

    Raises:
        DataError: not text, not in UTF-8 or UTF-16, or no JSON.
        NoLabelTableError: JSON of another kind, or detection data.
    """
    text = read_text(file)
    suffix = file.suffix.lower()
    if suffix == ".jsonl":
        return _json_lines(file, text)
    return _json(file, text) if suffix == ".json" else _delimited(file, text)


def read_text(file: Path) -> str:
    """Decode a file, or say what it is and what to do.

    Raises:
        DataError: unreadable, binary, or in an encoding that the bytes do not tell.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{shown(file)} cannot be read ({error.strerror})") from None
    for magic, what, remedy in _MAGIC:
        if data.startswith(magic):
            raise DataError(f"{shown(file)} is {what}", remedy=remedy)
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")  # Excel's "Unicode text"
    head = data[:1000]
    if not wide and head.count(0) > len(head) // 4:
        raise DataError(
            f"{shown(file)} is no UTF-8 (every other byte is zero, as in UTF-16)",
            remedy="save the file as UTF-8",
        )
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{shown(file)}, line {line}: not {'UTF-16' if wide else 'UTF-8'}",
            remedy="save the file as UTF-8 (Excel: 'CSV UTF-8'; a shell: iconv -f cp1252 -t utf-8)",
        ) from None


def _delimited(file: Path, text: str) -> Table:
    if "\n" not in text:
        text = text.replace("\r", "\n")  # an old Mac's
    delimiter, skipped = _delimiter(text)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    header: tuple[str, ...] = ()
    header_line = 1
    rows: list[TableRow] = []
    faults: list[Fault] = []
    try:
        for fields in reader:
            cells = [field.strip() for field in fields]
            if not any(cells) or reader.line_num <= skipped:
                continue
            if header:
                rows.append(TableRow(reader.line_num, cells))
            else:
                header, header_line = tuple(cells), reader.line_num
    except csv.Error as error:
        where = f"line {reader.line_num}"
        faults.append(Fault(where, f"is no CSV ({error})", "check the quotes"))
    header = _without_empty_tail(header, rows)
    return Table(file, header, rows, tuple(faults), header_line=header_line)


def _delimiter(text: str) -> tuple[str, int]:
    """Return what separates the fields of the first line that has any, and the lines before it.

    Excel may write ``sep=;`` above the header.
    """
    for number, line in enumerate(io.StringIO(text)):
        line = line.strip("\r\n")
        if line.lower().startswith("sep=") and len(line) == 5 and number == 0:
            return line[4], 1
        if line.strip():
            quoteless = re.sub(r'"[^"]*"', "", line)
            return max(_DELIMITERS, key=quoteless.count), 0
    return ",", 0


def _without_empty_tail(header: tuple[str, ...], rows: Sequence[TableRow]) -> tuple[str, ...]:
    """Leave out the columns without a name and fields that a spreadsheet appends."""
    width = len(header)
    while width and not header[width - 1] and not any(any(r.cells[width - 1 :]) for r in rows):
        width -= 1
    return header[:width]


def _json_lines(file: Path, text: str) -> Table:
    records: list[tuple[int, Mapping[str, Any]]] = []
    faults = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            faults.append(Fault(f"line {number}", f"is no JSON ({error})", "mend it"))
            continue
        if isinstance(record, dict):
            records.append((number, record))
        else:
            faults.append(Fault(f"line {number}", "is no JSON object", "write one object a line"))
    return dataclasses.replace(_of_records(file, records), faults=tuple(faults))


def _of_records(file: Path, records: Sequence[tuple[int, Mapping[str, Any]]]) -> Table:
    header = tuple(dict.fromkeys(str(key) for _, record in records for key in record))
    rows = [TableRow(n, [_cell(record.get(key)) for key in header]) for n, record in records]
    return Table(file, tuple(key.strip() for key in header), rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _json(file: Path, text: str) -> Table:
    """Read COCO annotations, a list of objects, or an object of path -> label."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"{shown(file)} is no JSON ({error})") from None
    except RecursionError:
        raise DataError(f"{shown(file)} is no JSON that can be read (nested too deep)") from None
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        records = _of_records(file, list(enumerate(value, start=1)))
        return dataclasses.replace(records, unit="record")
    if isinstance(value, dict) and {"images", "annotations", "categories"} <= value.keys():
        return _coco(file, value)
    if isinstance(value, dict) and value and all(map(_is_image_and_label, value.items())):
        rows = [
            TableRow(n, [key, _cell(one)]) for n, (key, one) in enumerate(value.items(), start=1)
        ]
        return Table(file, ("path", "label"), rows, unit="entry")
    raise NoLabelTableError(
        f"{shown(file)} lists no images", remedy="give a table of path and label"
    )


def _is_image_and_label(item: tuple[str, object]) -> bool:
    return item[0].lower().endswith(tuple(IMAGE_SUFFIXES)) and not isinstance(item[1], list | dict)


def _coco(file: Path, value: Mapping[str, Any]) -> Table:
    """Read COCO annotations as labels, where every image has one category.

    Raises:
        NoLabelTableError: images have several categories: detection data.
    """
    try:
        names = {one["id"]: str(one["name"]) for one in value["categories"]}
        found: dict[Any, dict[str, None]] = {one["id"]: {} for one in value["images"]}
        for one in value["annotations"]:
            found[one["image_id"]][names[one["category_id"]]] = None
        files = [(one["id"], str(one["file_name"])) for one in value["images"]]
    except (KeyError, TypeError) as error:
        raise NoLabelTableError(f"{shown(file)} is no COCO file ({error!r})") from None
    several = [image for image, categories in found.items() if len(categories) > 1]
    if several or not any(found.values()):
        what = (
            f"{count(len(several), 'image')} of {len(found):,} with objects of several categories"
        )
        raise NoLabelTableError(
            f"{shown(file)} is detection data ({what if several else 'no image has a category'}); "
            "reslab gives one label an image",
            remedy="cut the objects out into class folders, or write a table of path and label",
            detection=True,
        )
    rows = [
        TableRow(number, [path, *found[image]])
        for number, (image, path) in enumerate(files, start=1)
        if found[image]
    ]
    bare = len(files) - len(rows)
    left_out = (f"{count(bare, 'image')} without an annotation left out",) if bare else ()
    return Table(file, ("path", "label"), rows, unit="image", notes=left_out)
