"""CSV ``path,label[,split,group]`` -> data set; every fault is named with its line number."""

from __future__ import annotations

import csv
import errno
import io
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from reslab.data.dataset import SplitName
from reslab.data.findings import Finding
from reslab.data.names import shown
from reslab.data.sources.collected import SPLIT_WORDS, Collected, Listed, collect
from reslab.errors import DataError, nearest

COLUMNS = ("path", "label", "split", "group")
_DELIMITERS = ",;\t"


def collect_table(table: Path, *, need_train: bool = True) -> Collected:
    """List the images of a CSV file.

    Args:
        table: comma, semicolon or tab separated, UTF-8 with or without a byte order mark; the
            first line names the columns. Paths are relative to the file, or absolute.
        need_train: see `collected.collect`.

    Raises:
        DataError: not text, or without the columns ``path`` and ``label``.
    """
    rows = _Rows(table)
    images = [image for image in rows.images() if image is not None]
    if any(image.split for image in images):
        for image in images:
            if image.split is None:
                rows.add(image.where, "no split, although other lines have one", "fill it in")
    if not images and not rows.found:
        rows.add("line 2", "no images are listed", "add lines below the column names")
    return collect(table.stem, table.parent, images, rows.found, need_train=need_train)


class _Rows:
    """The lines of one table, turned into images one by one."""

    def __init__(self, table: Path) -> None:
        self.table = table
        self.found: list[Finding] = []
        self._seen: dict[tuple[str, str], int] = {}
        self._real_folders: dict[str, str] = {}

    def add(self, where: str, message: str, remedy: str) -> None:
        """Add an error about one line."""
        text = f"{shown(self.table)}, {where}: {message}"
        self.found.append(Finding("table-line", "error", text, (f"{self.table}:{where}",), remedy))

    def images(self) -> Iterator[Listed | None]:
        """Yield the image of each line, or None for a line with a fault."""
        text = _read_text(self.table)
        header = text.split("\n", 1)[0]
        delimiter = max(_DELIMITERS, key=header.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            columns = _columns(next(reader, []), self.table)
            for row in reader:
                if any(field.strip() for field in row):
                    yield self._image(row, columns, reader.line_num)
        except csv.Error as error:
            self.add(f"line {reader.line_num}", f"is no CSV ({error})", "check the quotes")

    def _image(self, row: list[str], columns: Mapping[str, int], line: int) -> Listed | None:
        where = f"line {line}"
        needed = max(columns.values()) + 1
        if len(row) < needed:
            self.add(where, f"{len(row)} fields, at least {needed} expected", "complete it")
            return None
        values = {name: row[column].strip() for name, column in columns.items()}
        path, label = values["path"], values["label"]
        if not path or not label:
            self.add(where, f"the {'label' if path else 'path'} is empty", "fill it in")
            return None
        path = os.path.normpath(path)
        split = self._split(values.get("split", ""), where)
        if fault := self._fault(path):
            self.add(where, f"{shown(path)} {fault}", "paths are relative to the CSV file")
            return None
        first = self._seen.setdefault(self._place(path), line)
        if first != line:
            self.add(where, f"{shown(path)} is listed already in line {first}", "keep one of them")
            return None
        return Listed(Path(path).as_posix(), label, split, values.get("group", ""), where)

    def _fault(self, path: str) -> str:
        """Say why a path is no file that can be read; empty where it is one."""
        try:
            mode = os.stat(self.table.parent / path).st_mode
        except ValueError:
            return "is no file name"
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return "does not exist"
            return f"cannot be read ({error.strerror})"
        if stat.S_ISREG(mode):
            return ""
        return "is a folder" if stat.S_ISDIR(mode) else "is no file"

    def _place(self, path: str) -> tuple[str, str]:
        """Return the true folder and the name of a file: the same for all spellings of its path."""
        folder, name = os.path.split(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(self.table.parent / folder)
        return self._real_folders[folder], name

    def _split(self, word: str, where: str) -> SplitName | None:
        if not word:
            return None
        split = SPLIT_WORDS.get(word.lower())
        if split is None:
            hint = nearest(word.lower(), SPLIT_WORDS) or "use train, val or test"
            self.add(where, f"unknown split '{shown(word)}'", hint)
        return split


def _read_text(table: Path) -> str:
    try:
        data = table.read_bytes()
    except OSError as error:
        raise DataError(f"{shown(table)} cannot be read ({error.strerror})") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{shown(table)}, line {line}: not UTF-8", remedy="save the file as UTF-8"
        ) from None


def _columns(header: list[str], table: Path) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    for needed in ("path", "label"):
        if needed not in names:
            there = ", ".join(shown(name) for name in header) or "nothing"
            raise DataError(
                f"{shown(table)}, line 1: there is no column '{needed}' (found: {there})",
                remedy="the first line must be: path,label or path,label,split,group",
            )
    for name in COLUMNS:
        if names.count(name) > 1:
            raise DataError(f"{shown(table)}, line 1: column '{name}' occurs twice")
    return {name: names.index(name) for name in COLUMNS if name in names}
