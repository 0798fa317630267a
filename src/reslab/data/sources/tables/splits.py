"""Columns that say which rows train, validate and test, under all the names that people give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from reslab.data.dataset import SplitName
from reslab.data.findings import list_names
from reslab.data.names import shown
from reslab.data.options import UNUSED
from reslab.data.sources.collected import SPLIT_WORDS
from reslab.data.sources.tables.parse import AmbiguousTableError, Row, Table, find_column
from reslab.data.sources.tables.roles import SPLIT, SPLIT_FLAGS, best, plain, truth
from reslab.errors import DataError, nearest

Read = Callable[[Sequence[str]], SplitName | None]


class NoSplitError(Exception):
    """A field that says no split; the message says why, the remedy what to write."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclasses.dataclass(frozen=True)
class Splits:
    """What gives a row its split.

    Args:
        columns: the columns that are read.
        of: returns the split of a row's fields, None where they are empty; raises NoSplitError.
        notes: what was taken for what, a sentence each.
    """

    columns: tuple[int, ...] = ()
    of: Read = lambda cells: None
    notes: tuple[str, ...] = ()


def choose_splits(table: Table, wanted: str | None, taken: set[int | None]) -> Splits:
    """Find what gives the split of each row.

    Args:
        table: as read.
        wanted: what the user said: a header, ``HEADER:VALUE``, "none", or None for nothing.
        taken: columns that play another role.

    Raises:
        DataError: columns contradict each other, or do not say what they mean.
    """
    if wanted == UNUSED:
        return Splits()
    if wanted is not None:
        return _as_wanted(table, wanted)
    free = [n for n in range(len(table.header)) if n not in taken]
    words = [n for n in best(table.header, SPLIT) if n in free and _speaks(table, n)]
    words = words or [n for n in free if _only_words(table, n)]
    flags = [n for n in best(table.header, tuple(SPLIT_FLAGS)) if n in free and _is_flag(table, n)]
    found = [_words(table, column) for column in words]
    if flags:
        found.append(_flags(table, flags))
    for other in found[1:]:
        _refuse_difference(table, found[0], other)
    if not found:
        return Splits()
    return found[0] if words else _sure_of_flags(table, found[0])


def _as_wanted(table: Table, wanted: str) -> Splits:
    header, colon, value = wanted.rpartition(":")
    if colon and wanted not in table.header:
        column = find_column(table, header)
        assert column is not None, "a header before a colon is no 'none'"
        return _value(table, column, value)
    column = find_column(table, wanted)
    assert column is not None, "none was handled before"
    if all(truth(value) is not None for value in table.column(column)):
        name = plain(table.header[column])
        if name == "valid" or name in SPLIT_FLAGS:
            return _flags(table, [column])
        raise DataError(
            f"{shown(table.file)}: column '{shown(wanted)}' does not say which split yes means",
            remedy=f"--columns split={shown(wanted)}:1 holds the rows with 1 out as test",
        )
    if not _speaks(table, column, anyway=False):
        raise _no_words(table, column)
    return _words(table, column)


def _no_words(table: Table, column: int) -> DataError:
    values = sorted(set(table.column(column)) - {""})
    name = shown(table.header[column])
    return DataError(
        f"{shown(table.file)}: column '{name}' says {list_names(values)}, not train, val or test",
        remedy=f"--columns split={name}:{shown(values[0]) if values else 'VALUE'} holds the rows "
        "of that value out as test; split=none leaves the column out",
    )


def _value(table: Table, column: int, value: str) -> Splits:
    """Hold the rows out for the test whose field is this value."""
    there = set(table.column(column))
    if value not in there:
        raise DataError(
            f"{shown(table.file)}: no row has '{shown(value)}' in '{shown(table.header[column])}' "
            f"(found: {list_names(sorted(there - {''}), most=8)})",
            remedy=nearest(value, there) or "name one of those",
        )
    name = table.header[column]
    note = f"rows with '{shown(value)}' in '{shown(name)}' are the test split"
    return Splits((column,), lambda cells: "test" if cells[column] == value else "train", (note,))


def _speaks(table: Table, column: int, *, anyway: bool = True) -> bool:
    """Tell whether a column has split words; one called "split" is taken at its name."""
    values = {value.casefold() for value in table.column(column) if value}
    return (anyway and plain(table.header[column]) == "split") or bool(values & set(SPLIT_WORDS))


def _only_words(table: Table, column: int) -> bool:
    """Tell whether all fields are split words, train and another one among them."""
    found = set()
    for value in table.column(column):
        word = SPLIT_WORDS.get(value.casefold())
        if word is None:
            return False
        found.add(word)
    return "train" in found and len(found) > 1


def _words(table: Table, column: int) -> Splits:
    def read(cells: Sequence[str]) -> SplitName | None:
        text = cells[column]
        if not text:
            return None
        split = SPLIT_WORDS.get(text.casefold())
        if split is None:
            hint = nearest(text.casefold(), SPLIT_WORDS) or "use train, val or test"
            raise NoSplitError(f"unknown split '{shown(text)}'", hint)
        return split

    name = table.header[column]
    note = f"split from '{shown(name)}'"
    return Splits((column,), read, () if plain(name) == "split" else (note,))


def _is_flag(table: Table, column: int) -> bool:
    """Tell whether most fields are yes or no; the others are then faults of their lines."""
    values = set(table.column(column)) - {""}
    known = [value for value in values if truth(value) is not None]
    return bool(known) and 2 * len(known) >= len(values)


def _flags(table: Table, columns: Sequence[int]) -> Splits:
    """Read columns of yes and no; a row without a yes is of the split that no column names."""
    kinds: dict[SplitName, int] = {}
    for column in columns:
        kind = SPLIT_FLAGS.get(plain(table.header[column]), "val")
        if kinds.setdefault(kind, column) != column:
            raise AmbiguousTableError(
                f"{shown(table.file)}: '{shown(table.header[kinds[kind]])}' and "
                f"'{shown(table.header[column])}' both mark {kind}",
                remedy=f"say which with --columns split={shown(table.header[column])}",
            )
    rest: SplitName = "train" if "train" not in kinds else "test" if "test" not in kinds else "val"

    def read(cells: Sequence[str]) -> SplitName | None:
        said: list[SplitName] = []
        for kind, column in kinds.items():
            answer = truth(cells[column])
            if answer is None:
                name = shown(table.header[column])
                raise NoSplitError(f"{name} is '{shown(cells[column])}'", "write True or False")
            said += [kind] if answer else []
        if len(said) > 1:
            raise NoSplitError(f"marked as {' and as '.join(said)}", "mark one of them")
        return said[0] if said else rest

    names = " and ".join(f"'{shown(table.header[column])}'" for column in columns)
    note = f"split from {names}: yes is {', '.join(kinds)}, otherwise {rest}"
    return Splits(tuple(columns), read, (note,))


def _sure_of_flags(table: Table, splits: Splits) -> Splits:
    """Refuse a mark for validation that most rows have; leave out one that no row has.

    ``is_valid`` may say that a row is sound.
    """
    said = [_read(splits, row) for row in table.rows]
    names = " and ".join(shown(table.header[column]) for column in splits.columns)
    if said and 2 * said.count("train") < len(said):
        share = 1 - said.count("train") / len(said)
        raise AmbiguousTableError(
            f"{shown(table.file)}: by '{names}' {share:.0%} of the rows would not be trained on",
            remedy=f"--columns split={shown(table.header[splits.columns[0]])} if that is meant, "
            "split=none if the column says something else",
        )
    if set(said) == {"train"}:
        return Splits(splits.columns, lambda cells: None, (f"'{names}' marks no row: no split",))
    return splits


def _refuse_difference(table: Table, one: Splits, other: Splits) -> None:
    for row in table.rows:
        first, second = _read(one, row), _read(other, row)
        if first != second:
            names = [table.header[splits.columns[0]] for splits in (one, other)]
            raise AmbiguousTableError(
                f"{shown(table.file)}, {table.where(row)}: '{shown(names[0])}' says "
                f"{first or 'nothing'} and '{shown(names[1])}' says {second or 'nothing'}",
                remedy=f"say which is the split with --columns split={shown(names[0])}",
            )


def _read(splits: Splits, row: Row) -> SplitName | None:
    """Return what a row says; None for a fault, which its line will be named for."""
    if len(row.cells) <= max(splits.columns):
        return None
    try:
        return splits.of(row.cells)
    except NoSplitError:
        return None
