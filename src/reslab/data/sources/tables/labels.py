"""Columns that say the class of an image: one by name, or one a class with a single mark a row."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence

from reslab.data.findings import count, list_names
from reslab.data.names import shown
from reslab.data.sources.tables.parse import (
    AmbiguousTableError,
    NoLabelTableError,
    Table,
    list_header,
)
from reslab.data.sources.tables.roles import LABEL, MEASURES, best, plain, truth
from reslab.errors import DataError

Read = Callable[[Sequence[str]], str]
# What pandas and spreadsheets write where a value is missing.
_MISSING = frozenset(("nan", "<na>", "#n/a"))
_PERHAPS_MISSING = frozenset(("null", "none", "na", "n/a"))
_MOST_MEASURES = 20
_BESIDE = ("x", "w", "h", "width", "height")


class NoLabelError(Exception):
    """Fields that say no class; the message says why, the remedy what to write."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclasses.dataclass(frozen=True)
class Labels:
    """What gives a row its class.

    Args:
        columns: the columns that are read.
        of: returns the class of a row's fields, empty where there is none; raises NoLabelError.
        one_hot: whether each column is a class.
        notes: what was done or looks odd, a sentence each.
    """

    columns: tuple[int, ...]
    of: Read
    one_hot: bool = False
    notes: tuple[str, ...] = ()

    def said(self, table: Table) -> tuple[str, ...]:
        """Say which columns these are."""
        if self.one_hot:
            names = [table.header[column] for column in self.columns]
            return (f"labels from the marked one of {len(names)} columns ({list_names(names)})",)
        return (f"labels from '{shown(table.header[self.columns[0]])}'",)

    def is_plain(self, table: Table) -> bool:
        """Tell whether the column is just called "label"."""
        return not self.one_hot and plain(table.header[self.columns[0]]) == "label"


def choose_labels(table: Table, wanted: int | None, taken: set[int | None], path: int) -> Labels:
    """Find what gives the class of each row.

    Args:
        table: as read.
        wanted: the column that the user named, or None.
        taken: columns that play another role.
        path: the column of paths.

    Raises:
        NoLabelTableError: nothing does.
        DataError: two columns do and differ, or rows have several marks.
    """
    if wanted is not None:
        return _one_column(table, wanted)
    named = [column for column in best(table.header, LABEL) if column not in taken]
    named = _without_coordinates(table, named)
    marks = _one_hot_columns(table, taken, named)
    if marks:
        return _one_hot(table, marks)
    filled = [table.once(n) for n in named if any(table.column(n)) or not table.rows]
    if filled:
        return _one_column(table, _best_named(table, filled))
    if not named:
        free = [n for n, name in enumerate(table.header) if n not in taken and n != path and name]
        if len(free) == 1 and _repeats(table, free[0]):
            return _one_column(table, free[0])
    what = (
        f"column '{shown(table.header[named[0]])}' is empty"
        if named
        else f"there is no column of labels (found: {list_header(table)})"
    )
    raise NoLabelTableError(
        f"{shown(table.file)}, line {table.header_line}: {what}",
        remedy="name it label, or say which it is with --columns label=HEADER",
        lists_images=True,
    )


def _without_coordinates(table: Table, named: Sequence[int]) -> list[int]:
    """Leave out a "y" that lies beside an "x", or beside a better name."""
    names = {plain(name) for name in table.header}
    odd = bool(names & set(_BESIDE)) or len(named) > 1
    return [n for n in named if not (odd and plain(table.header[n]) == "y")]


def _repeats(table: Table, column: int) -> bool:
    """Tell whether the fields may be classes: they are repeated, and no measures."""
    values = [value for value in table.column(column) if value]
    distinct = set(values)
    few = 0 < 2 * len(distinct) <= len(values)
    return few and plain(table.header[column]) not in MEASURES and not _is_measure(distinct)


def _is_measure(distinct: set[str]) -> bool:
    """Tell whether values are numbers such as no one gives to classes."""
    numbers = [_number(value) for value in distinct]
    if any(number is None for number in numbers) or len(numbers) <= _MOST_MEASURES:
        return False
    return any(number is not None and number != round(number) for number in numbers)


def _number(text: str) -> float | None:
    if not re.fullmatch(r"[-+]?[0-9.]+(?:[eE][-+]?\d+)?", text):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _best_named(table: Table, columns: Sequence[int]) -> int:
    """Choose among columns that are one-to-one: names rather than numbers.

    Raises:
        DataError: they are not one-to-one.
    """
    first = columns[0]
    for other in columns[1:]:
        if not _one_to_one(table, first, other):
            one, two = shown(table.header[first]), shown(table.header[other])
            raise AmbiguousTableError(
                f"{shown(table.file)}: '{one}' and '{two}' may both be the label, and they differ",
                remedy=f"say which with --columns label={one} or --columns label={two}",
            )
    for column in columns:
        if any(value and _number(value) is None for value in table.column(column)):
            return column
    return first


def _one_to_one(table: Table, first: int, other: int) -> bool:
    forth: dict[str, str] = {}
    back: dict[str, str] = {}
    for one, two in zip(table.column(first), table.column(other), strict=True):
        if bool(one) != bool(two):
            return False
        if forth.setdefault(one, two) != two or back.setdefault(two, one) != one:
            return False
    return True


def _one_column(table: Table, column: int) -> Labels:
    name = table.header[table.once(column)]
    distinct = set(table.column(column)) - {""}
    if plain(name) not in ("label", "class") and _is_measure(distinct):
        raise NoLabelTableError(
            f"{shown(table.file)}: column '{shown(name)}' holds {len(distinct):,} different "
            f"numbers ({list_names(sorted(distinct))}), no classes",
            remedy="write a class for each image",
            lists_images=True,
        )
    whole, notes = _whole_numbers(name, distinct)
    notes += _odd_labels(name, distinct)

    def read(cells: Sequence[str]) -> str:
        text = cells[column]
        if text.casefold() in _MISSING:
            raise NoLabelError(f"the label is '{text}', a missing value", "fill it in")
        return whole.get(text, text)

    return Labels((column,), read, notes=tuple(notes))


def _whole_numbers(name: str, distinct: set[str]) -> tuple[dict[str, str], list[str]]:
    """Write 1.0 as 1 where all labels are whole numbers: pandas writes so beside missing ones."""
    numbers = {value: _number(value) for value in distinct if value.casefold() not in _MISSING}
    if not any("." in value for value in numbers):
        return {}, []
    whole = {v: str(round(n)) for v, n in numbers.items() if n is not None and n == round(n)}
    if len(whole) < len(numbers):
        return {}, []
    return whole, [f"labels of '{shown(name)}' are whole numbers: 1.0 is read as 1"]


def _odd_labels(name: str, distinct: set[str]) -> list[str]:
    notes = []
    doubtful = sorted(value for value in distinct if value.casefold() in _PERHAPS_MISSING)
    if doubtful:
        notes.append(f"class '{shown(doubtful[0])}' of '{shown(name)}' may be a missing value")
    joined = sorted(value for value in distinct if _joins(value, distinct))
    if joined:
        notes.append(
            f"label '{shown(joined[0])}' joins several labels, and is taken as a class of its own "
            f"({count(len(joined), 'such label')})"
        )
    return notes


def _joins(value: str, distinct: set[str]) -> bool:
    for separator in "|;, ":
        parts = [part.strip() for part in value.split(separator)]
        if len(parts) > 1 and all(part in distinct for part in parts):
            return True
    return False


def _one_hot_columns(table: Table, taken: set[int | None], named: Sequence[int]) -> tuple[int, ...]:
    """Return the columns that are a class each; empty where there are none such.

    Every field in them is yes or no, and most rows have a single yes. A column that is called
    like a label makes it another table, unless it fits in itself: the letter y among letters.
    """
    free = [n for n, name in enumerate(table.header) if n not in taken and name]
    marks = tuple(n for n in free if _all_marks(table, n))
    if len(marks) < 2 or not table.rows:
        return ()
    if any(n not in marks or plain(table.header[n]) != "y" for n in named):
        return ()
    single = sum(_marked(row.cells, marks) == 1 for row in table.rows)
    several = sum(_marked(row.cells, marks) > 1 for row in table.rows)
    if 2 * single >= len(table.rows):
        return marks
    if several and set(free) == set(marks):
        raise NoLabelTableError(
            f"{shown(table.file)} has several labels an image ({count(several, 'row')} of "
            f"{len(table.rows):,} mark more than one of {len(marks)} columns)",
            remedy="reslab gives one label an image: write a table with one",
            lists_images=True,
        )
    return ()


def _all_marks(table: Table, column: int) -> bool:
    return all(truth(value) is not None for value in table.column(column))


def _marked(cells: Sequence[str], columns: Sequence[int]) -> int:
    return sum(bool(truth(cells[n])) for n in columns if n < len(cells))


def _one_hot(table: Table, columns: tuple[int, ...]) -> Labels:
    names = [table.header[column] for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{shown(table.file)}, line {table.header_line}: class column '{shown(twice[0])}' "
            "occurs twice",
            remedy="rename one of them",
        )

    def read(cells: Sequence[str]) -> str:
        those = [name for name, n in zip(names, columns, strict=True) if truth(cells[n])]
        if len(those) == 1:
            return those[0]
        if not those:
            raise NoLabelError("no class is marked", "mark one of them, or take the line out")
        raise NoLabelError(
            f"{len(those)} classes are marked ({list_names(those)})",
            "reslab gives one label an image: mark one",
        )

    return Labels(columns, read, one_hot=True)
