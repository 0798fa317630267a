"""Header and fields -> which column is the path, the label, the split and the group.

What is sure is used and said; what is not is named with the flag that decides. Nothing is left
out without a word.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from reslab.data.decode import IMAGE_SUFFIXES
from reslab.data.findings import list_names
from reslab.data.names import shown
from reslab.data.sources.tables.labels import Labels, choose_labels
from reslab.data.sources.tables.parse import (
    AmbiguousTableError,
    NoLabelTableError,
    Table,
    find_column,
    list_header,
)
from reslab.data.sources.tables.roles import (
    FOLDS,
    GROUP,
    LABEL,
    LIKELY_GROUP,
    PATH,
    SPLIT,
    SPLIT_FLAGS,
    best,
    plain,
)
from reslab.data.sources.tables.splits import Splits, choose_splits

Probe = Callable[[str], str]
PROBES = 50
_ENOUGH_GROUPS = 10


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which column plays which role.

    Args:
        path: the column of paths.
        labels: what gives the label of a row.
        splits: what gives the split of a row.
        group: the column of groups, or None.
        notes: what was chosen and what is not used, a sentence each.
    """

    path: int
    labels: Labels
    splits: Splits
    group: int | None
    notes: tuple[str, ...]

    def needed(self) -> int:
        """Return how many fields a row must have."""
        used = [self.path, *self.labels.columns, *self.splits.columns]
        return max([*used, *([] if self.group is None else [self.group])]) + 1


def with_numbered_columns(table: Table, probe: Probe) -> Table:
    """Return the table, its first line taken for a record where that is an image and no header."""
    if any(name.lower().endswith(tuple(IMAGE_SUFFIXES)) for name in table.header):
        return table.without_header()
    known = {*PATH, *LABEL, *SPLIT, *SPLIT_FLAGS, *GROUP}
    named = any(plain(name) in known for name in table.header)
    return table if named or not any(map(probe, table.header)) else table.without_header()


def choose_columns(table: Table, wanted: Mapping[str, str], probe: Probe) -> Columns:
    """Find the roles of a table's columns.

    Args:
        table: as read.
        wanted: role -> header, as the user said it; "none" for none.
        probe: returns the file that a field leads to, empty where it leads to none.

    Raises:
        NoLabelTableError: there is no column of paths or none of labels.
        DataError: columns contradict each other, or a header that was named is not there.
    """
    given = {role: find_column(table, name) for role, name in wanted.items() if role != "split"}
    path = given.get("path")
    if path is None:
        path = _path_column(table, probe)
    taken: set[int | None] = {path, *given.values()}
    splits = choose_splits(table, wanted.get("split"), taken)
    taken |= set(splits.columns)
    label = given.get("label")
    groups = [] if "group" in given else _group_columns(table, taken | {label})
    group = given.get("group")
    if groups:
        group = _coarsest(table, groups)
    labels = choose_labels(table, label, taken | set(groups), path)
    used = {path, *labels.columns, *splits.columns, *groups, group}
    notes = [*labels.notes, *splits.notes]
    if group is not None and plain(table.header[group]) != "group" and "group" not in given:
        finer = [table.header[column] for column in groups if column != group]
        notes.append(
            f"images of one '{shown(table.header[group])}' stay in one split"
            + (f", and so those of one {list_names(finer)}" if finer else "")
            + " (--columns group=none if they need not)"
        )
    if plain(table.header[path]) != "path" or not table.has_header:
        which = [f"paths from '{shown(table.header[path])}'", *labels.said(table)]
        notes.insert(0, ", ".join(which))
    elif not labels.is_plain(table):
        notes.insert(0, ", ".join(labels.said(table)))
    notes += _unused(table, used)
    return Columns(path, labels, splits, group, tuple(notes))


def _path_column(table: Table, probe: Probe) -> int:
    """Choose among the columns that are called like paths, or find one whose fields are."""
    named = best(table.header, PATH)
    if len(named) == 1 and plain(table.header[named[0]]) == "path":
        return table.once(named[0])
    hits = {column: _files(table, column, probe) for column in named}
    leading = [column for column in named if hits[column]]
    if not leading:
        hits = {column: _files(table, column, probe) for column in range(len(table.header))}
        leading = [column for column, files in hits.items() if _are_paths(files, table)]
        if len(leading) > 1:
            raise _which(table, "path", leading)
    if not leading:
        if not named:
            raise NoLabelTableError(
                f"{shown(table.file)}, line {table.header_line}: there is no column of paths "
                f"(found: {list_header(table)})",
                remedy="name it path, or say which it is with --columns path=HEADER",
            )
        leading = named
    first = leading[0]
    for other in leading[1:]:
        both = hits[first].keys() & hits[other].keys()
        if any(hits[first][row] != hits[other][row] for row in both):
            raise _which(table, "path", [first, other])
    return table.once(first)


def _which(table: Table, role: str, columns: Sequence[int]) -> AmbiguousTableError:
    names = [table.header[column] for column in columns]
    listed = " and ".join(f"'{shown(name)}'" for name in names)
    return AmbiguousTableError(
        f"{shown(table.file)}: {listed} may both be the {role}, and they differ",
        remedy=f"say which with --columns {role}={shown(names[0])}",
    )


def _probed(table: Table) -> list[int]:
    step = max(1, len(table.rows) // PROBES)
    return list(range(0, len(table.rows), step))


def _are_paths(files: Mapping[int, str], table: Table) -> bool:
    """Tell whether most fields of a column lead to files, and each to another one."""
    return 2 * len(files) >= len(_probed(table)) > 0 and len(set(files.values())) == len(files)


def _files(table: Table, column: int, probe: Probe) -> dict[int, str]:
    """Return the files that some fields of a column lead to, by row."""
    found = {}
    for number in _probed(table):
        cells = table.rows[number].cells
        if column < len(cells) and cells[column] and (file := probe(cells[column])):
            found[number] = file
    return found


def _group_columns(table: Table, taken: set[int | None]) -> list[int]:
    sure = [column for column in best(table.header, GROUP) if column not in taken]
    likely = [column for column in best(table.header, LIKELY_GROUP) if column not in taken]
    values = {column: set(table.column(column)) - {""} for column in (*sure, *likely)}
    exact = [column for column in sure if plain(table.header[column]) == "group"]
    kept = exact or [column for column in sure if len(values[column]) > 1]
    return kept or [column for column in likely if len(values[column]) >= _ENOUGH_GROUPS]


def _coarsest(table: Table, columns: Sequence[int]) -> int:
    """Return the column whose groups hold those of all others whole.

    Raises:
        DataError: there is none.
    """
    for column in columns:
        if all(_nests(table, other, column) for other in columns if other != column):
            return column
    raise _which(table, "group", columns)


def _nests(table: Table, fine: int, coarse: int) -> bool:
    above: dict[str, str] = {}
    for small, large in zip(table.column(fine), table.column(coarse), strict=True):
        if small and large and above.setdefault(small, large) != large:
            return False
    return True


def _unused(table: Table, used: set[int | None]) -> list[str]:
    """Name the columns that play no role, with the flag for those that might."""
    rest = [n for n, name in enumerate(table.header) if n not in used and name]
    notes, others = [], []
    for column in rest:
        name, there = plain(table.header[column]), shown(table.header[column])
        if name in (*FOLDS, *SPLIT, *SPLIT_FLAGS, "valid"):
            values = sorted(set(table.column(column)) - {""})
            value = f":{shown(values[0])}" if values and name != "valid" else ""
            what = "takes it as one" if name == "valid" else "holds those rows out as test"
            notes.append(
                f"column '{there}' is not used as a split: --columns split={there}{value} {what}"
            )
        elif name in (*GROUP, *LIKELY_GROUP):
            notes.append(
                f"column '{there}' is not used: --columns group={there} keeps the images of one "
                f"{there} in one split"
            )
        else:
            others.append(table.header[column])
    return [*notes, *([f"columns not used: {list_names(others, most=12)}"] if others else [])]
