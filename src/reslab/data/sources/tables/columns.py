"""Header and fields -> which column is the path, the label, the split and the group.

What is sure is used and said; what is not is named with the flag that decides. Nothing is left
out without a word.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence

from reslab.data.collect import UNUSED, count, list_names
from reslab.data.dataset import SplitName
from reslab.data.decode import IMAGE_SUFFIXES
from reslab.data.sources.tables.parse import (
    AmbiguousTableError,
    NoLabelTableError,
    Table,
    TableRow,
    find_column,
    list_header,
    plain,
)
from reslab.data.sources.tree import SPLIT_WORDS
from reslab.display.names import shown
from reslab.errors import DataError, nearest

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
    splits: SplitColumns
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


# --- roles: which names of columns mean what ------------------------------------------------------


# Names are compared as `plain` writes them: "Image ID", "image_id" and "imageId" are one name.
# Within a role, the earlier name is taken where several columns would do.
PATH = (
    *("path", "filepath", "filepaths", "imagepath", "imagepaths", "imgpath", "relativepath"),
    *("relpath", "relativeimpath", "fullpath", "filename", "filenames", "fname", "imagefilename"),
    *("imagefile", "imgfile", "file", "files", "imagename", "imgname", "image", "images", "img"),
    *("imageid", "imgid", "imageindex", "photo", "photoid", "photopath", "picture", "pic"),
    *("idcode", "id", "uri", "url", "imageurl"),
)
LABEL = (
    *("label", "labels", "class", "classes", "classname", "labelname", "category", "categoryname"),
    *("target", "breed", "species", "dx", "diagnosis", "variety", "cultivar", "groundtruth"),
    *("emotion", "tag", "classid", "classindex", "classlabel", "labelid", "labelindex", "labelidx"),
    *("categoryid", "targetname", "y"),
)
SPLIT = (
    *("split", "splits", "subset", "set", "partition", "phase", "usage", "dataset", "datasplit"),
    *("stage", "mode"),
)
# A column of yes and no: yes is this split.
SPLIT_FLAGS: dict[str, SplitName] = {
    **dict.fromkeys(("isvalid", "isval", "isvalidation", "val", "validation"), "val"),
    **dict.fromkeys(("istest", "istesting", "istestimage", "test"), "test"),
    **dict.fromkeys(("istrain", "istraining", "istrainingimage", "train", "training"), "train"),
}
# What its images have in common must not be torn apart, however few groups there are.
GROUP = (
    *("group", "groups", "groupid", "patient", "patientid", "patientnumber", "subject"),
    *("subjectid", "participant", "participantid", "individual", "individualid", "lesion"),
    *("lesionid", "person", "personid"),
)
# The same, where there are enough of them to be held out one by one.
LIKELY_GROUP = (
    *("session", "sessionid", "sequence", "sequenceid", "seqid", "video", "videoid", "clip"),
    *("clipid", "burst", "burstid", "site", "siteid", "location", "locationid", "camera"),
    *("cameraid", "caseid", "studyid", "studyinstanceuid", "slide", "slideid", "specimen"),
    *("specimenid",),
)
FOLDS = ("fold", "folds", "kfold", "foldid", "cvfold", "foldnumber")
# Numbers or text about an image, never taken for its class unasked.
MEASURES = frozenset(
    (
        "age",
        "price",
        "count",
        "score",
        "rating",
        "width",
        "height",
        "weight",
        "size",
        "year",
        "date",
        "time",
        "text",
        "caption",
        "description",
        "md5",
        "hash",
        "url",
        "filesize",
        "confidence",
    )
)
BOXES = frozenset(
    ("xmin", "ymin", "xmax", "ymax", "x1", "y1", "x2", "y2", "bbox", "bboxx1", "bboxy1", "roix1")
)
_YES = frozenset(("true", "1", "1.0", "yes", "t", "y"))
_NO = frozenset(("false", "0", "0.0", "no", "f", "n"))


def truth(text: str) -> bool | None:
    """Read yes and no as people write them; None for anything else."""
    word = text.casefold()
    return True if word in _YES else False if word in _NO else None


def best(header: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the columns that have one of these names, in the order of the names."""
    there = [plain(name) for name in header]
    return [index for name in names for index, one in enumerate(there) if one == name]


# --- labels: one column by name, or one a class with a single mark a row --------------------------


_ReadLabel = Callable[[Sequence[str]], str]
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
    of: _ReadLabel
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


# --- splits: which rows train, validate and test, under all the names that people give ------------


_ReadSplit = Callable[[Sequence[str]], SplitName | None]


class NoSplitError(Exception):
    """A field that says no split; the message says why, the remedy what to write."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclasses.dataclass(frozen=True)
class SplitColumns:
    """What gives a row its split.

    Args:
        columns: the columns that are read.
        of: returns the split of a row's fields, None where they are empty; raises NoSplitError.
        notes: what was taken for what, a sentence each.
    """

    columns: tuple[int, ...] = ()
    of: _ReadSplit = lambda cells: None
    notes: tuple[str, ...] = ()


def choose_splits(table: Table, wanted: str | None, taken: set[int | None]) -> SplitColumns:
    """Find what gives the split of each row.

    Args:
        table: as read.
        wanted: what the user said: a header, ``HEADER:VALUE``, "none", or None for nothing.
        taken: columns that play another role.

    Raises:
        DataError: columns contradict each other, or do not say what they mean.
    """
    if wanted == UNUSED:
        return SplitColumns()
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
        return SplitColumns()
    return found[0] if words else _sure_of_flags(table, found[0])


def _as_wanted(table: Table, wanted: str) -> SplitColumns:
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


def _value(table: Table, column: int, value: str) -> SplitColumns:
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
    return SplitColumns(
        (column,), lambda cells: "test" if cells[column] == value else "train", (note,)
    )


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


def _words(table: Table, column: int) -> SplitColumns:
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
    return SplitColumns((column,), read, () if plain(name) == "split" else (note,))


def _is_flag(table: Table, column: int) -> bool:
    """Tell whether most fields are yes or no; the others are then faults of their lines."""
    values = set(table.column(column)) - {""}
    known = [value for value in values if truth(value) is not None]
    return bool(known) and 2 * len(known) >= len(values)


def _flags(table: Table, columns: Sequence[int]) -> SplitColumns:
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
    return SplitColumns(tuple(columns), read, (note,))


def _sure_of_flags(table: Table, splits: SplitColumns) -> SplitColumns:
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
        return SplitColumns(
            splits.columns, lambda cells: None, (f"'{names}' marks no row: no split",)
        )
    return splits


def _refuse_difference(table: Table, one: SplitColumns, other: SplitColumns) -> None:
    for row in table.rows:
        first, second = _read(one, row), _read(other, row)
        if first != second:
            names = [table.header[splits.columns[0]] for splits in (one, other)]
            raise AmbiguousTableError(
                f"{shown(table.file)}, {table.where(row)}: '{shown(names[0])}' says "
                f"{first or 'nothing'} and '{shown(names[1])}' says {second or 'nothing'}",
                remedy=f"say which is the split with --columns split={shown(names[0])}",
            )


def _read(splits: SplitColumns, row: TableRow) -> SplitName | None:
    """Return what a row says; None for a fault, which its line will be named for."""
    if len(row.cells) <= max(splits.columns):
        return None
    try:
        return splits.of(row.cells)
    except NoSplitError:
        return None
