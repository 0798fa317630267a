"""How a user said that data are to be read, where they do not say it themselves."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab import dataclass_json
from reslab.data.names import shown
from reslab.errors import DataError, UsageError, unknown

if TYPE_CHECKING:
    from reslab.data.sources.tables.parse import Table

ROLES = ("path", "label", "split", "group")
UNUSED = "none"


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class DataOptions:
    """How data are to be read; the default leaves everything to what is found.

    A run records them, so that whatever opens its data later reads the same images and labels.

    Args:
        columns: which column of a table plays which role: "path", "label", "split" or "group" ->
            the column's header (or its number from 1 in a table without headers); "none" for a
            role that no column plays.
        root: the folder that paths in a table start from, before the table's own is tried.
        label_from_name: a regular expression that finds the label (and the split) in an image's
            path below the data folder; see `sources.filenames.LabelExpression`.
        merge_similar_classes: make one class of class names that differ invisibly (by case,
            Unicode form, spaces), or keep them apart (False); None refuses them.

    Raises:
        UsageError: an unknown role, or one column with two roles.
    """

    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    root: str | None = None
    label_from_name: str | None = None
    merge_similar_classes: bool | None = None

    def __post_init__(self) -> None:
        headers: dict[str, str] = {}
        for role, header in self.columns.items():
            if role not in ROLES:
                raise unknown("role of a column", shown(role), ROLES)
            if header != UNUSED and headers.setdefault(header, role) != role:
                raise UsageError(
                    f"column '{shown(header)}' cannot be both {headers[header]} and {role}",
                    remedy="name another column for one of them",
                )
        object.__setattr__(self, "columns", dict(self.columns))
        if self.root is not None:  # the record must hold from every folder
            object.__setattr__(self, "root", os.path.abspath(os.path.expanduser(self.root)))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.changed().items())
        return f"DataOptions({fields})"

    def changed(self) -> dict[str, Any]:
        """Return the fields that are not left to what is found."""
        default = DataOptions()
        fields = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))
        return {name: value for name, value in fields if value != getattr(default, name)}

    def moved(self, old: str, new: str) -> DataOptions:
        """Return the options for data that have moved: a root that is gone moves along.

        Args:
            old: where the data were, a folder or a file.
            new: where they are.
        """
        if self.root is None or os.path.isdir(self.root):
            return self
        there = os.path.join(new, os.path.relpath(self.root, os.path.abspath(old)))
        there = os.path.normpath(there)
        return dataclasses.replace(self, root=there) if os.path.isdir(there) else self

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclass_json.to_json(self)

    def as_opened(self) -> DataOptions:
        """Return the options to open the data of a run again: classes it kept apart stay apart.

        A run that was not told about similar names has none, or is from before they were refused.
        """
        merge = bool(self.merge_similar_classes)
        return dataclasses.replace(self, merge_similar_classes=merge)

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> DataOptions:
        """Rebuild what `to_json` returned; older runs recorded None."""
        return dataclass_json.from_json(cls, value or {}, "data_options")


def recorded_options(data: str, provenance: Mapping[str, Any]) -> DataOptions:
    """Return how a model's own training data were read, where that says something of `data`.

    Of the very same data all is kept. Another table keeps what was said of columns that it has
    too, and the folder of its paths. Else the default.

    Args:
        data: what is to be opened.
        provenance: what a model or a run's config.json records: "data" and "location" (the
            places of its data), and "data_options".
    """
    places = (provenance.get(name) for name in ("data", "location"))
    recorded = DataOptions.from_json(provenance.get("data_options"))
    if _place(data) in {_place(place) for place in places if isinstance(place, str)}:
        return recorded.as_opened()
    columns = _columns_there(Path(os.path.expanduser(data)), recorded.columns)
    return DataOptions(columns=columns, root=recorded.root) if columns else DataOptions()


def label_column_of(data: str, classes: Collection[str]) -> str | None:
    """Return the column of a table whose values are these classes; None where not just one is.

    Args:
        data: what is to be opened.
        classes: what a run of an older reslab took for labels.
    """
    table = _table(Path(os.path.expanduser(data)))
    if table is None:
        return None
    values = [{*table.column(number)} - {""} for number in range(len(table.header))]
    those = [name for name, held in zip(table.header, values, strict=True) if held == set(classes)]
    # Among equals the one that older versions looked for.
    return "label" if "label" in those else those[0] if len(those) == 1 else None


def _table(data: Path) -> Table | None:
    """Read a table; None where there is none that can be read."""
    from reslab.data.sources.tables.parse import SUFFIXES, read_table

    if data.suffix.casefold() not in SUFFIXES or not data.is_file():
        return None
    try:
        return read_table(data)
    except DataError:  # opening it will say what is wrong
        return None


def _columns_there(data: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """Return the roles of columns that a table has by name; none where it is no table."""
    from reslab.data.sources.tables.roles import plain

    table = _table(data) if columns else None
    if table is None:
        return {}
    headers = {plain(name) for name in table.header} - {""}
    there = {
        role: header
        for role, header in columns.items()
        # "fold:0" is the column fold, and what marks the test in it.
        if headers & {plain(header), plain(header.rpartition(":")[0])}
    }
    unused = {role: header for role, header in columns.items() if header == UNUSED}
    return there | unused if there else {}


def _place(data: str) -> str:
    path = os.path.expanduser(data)
    return os.path.realpath(path) if os.path.exists(path) else data
