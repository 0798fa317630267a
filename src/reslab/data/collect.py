"""What every source is told, and what it returns: options in, images and findings out.

A source lists images (`Listed`) and says what is odd (`Finding`); `collect` applies the class rules
that every listing obeys and builds the data set. Class order is the sorted names of train alone.
Validation and test never add a class and never shift one: labels go by name.
"""

from __future__ import annotations

import dataclasses
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from reslab import dataclass_json
from reslab.data.dataset import SPLIT_NAMES, Dataset, FileImages, SplitName
from reslab.display.names import shown
from reslab.display.short import short_repr
from reslab.errors import DataError, UsageError, unknown

if TYPE_CHECKING:
    from reslab.data.sources.tables.parse import Table

# --- options: how a user said that data are to be read --------------------------------------------


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
    from reslab.data.sources.tables.parse import plain

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


# --- findings: what is wrong with a data set ------------------------------------------------------


Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault, or one thing that people should know before they train.

    Args:
        kind: a short fixed word for scripts ("unreadable", "duplicate-across", ...).
        severity: "error" stops training, "warning" does not; "note" says how the data are read.
        message: what is wrong, on one line, with the name of what it is about.
        paths: the images, folders or table lines concerned.
        remedy: what to do about it.
        classes: the classes concerned, where it is about classes.
    """

    kind: str
    severity: Severity
    message: str
    paths: tuple[str, ...] = ()
    remedy: str = ""
    classes: tuple[str, ...] = ()

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self)


def list_names(names: Sequence[str], most: int = 3) -> str:
    """Join the first few names, and say how many more there are."""
    listed = ", ".join(shown(name) for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 image``, ``3 images``, ``2,000 images``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def fault_of(error: DataError, name: str) -> str:
    """Return what a message says of a file, without the file's name."""
    return error.message.removeprefix(shown(name)).strip()


def name_unreadable(reasons: dict[str, str]) -> list[Finding]:
    """Make one finding for each reason, with all the files it holds for."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    found = []
    for reason, names in by_reason.items():
        if len(names) == 1:
            message = f"{shown(names[0])} {reason}"
        else:
            message = f"{count(len(names), 'file')}, each {reason}: {list_names(names)}"
        remedy = "restore or remove, or train with --skip-corrupt"
        found.append(Finding("unreadable", "error", message, tuple(names), remedy))
    return found


def raise_first_error(findings: Sequence[Finding], *, where: str) -> None:
    """Raise the first error among findings as DataError, saying how many more there are."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    remedy = errors[0].remedy
    if len(errors) > 1:
        more = f"{len(errors) - 1} more fault{'s' if len(errors) > 2 else ''}"
        listed = f"`reslab check {where}` lists {more}"
        remedy = f"{remedy}; {listed}" if remedy else listed
    raise DataError(errors[0].message, remedy=remedy)


# --- listed images -> data set --------------------------------------------------------------------


class Listed(NamedTuple):
    """One image of a folder or table.

    Args:
        path: relative to the root, or absolute; with forward slashes.
        class_name: its label.
        split: where it belongs, or None in a set that is not split.
        group: what must not be torn apart; empty where there are no groups.
        where: how to point at it ("line 17"), empty to point by its path.
    """

    path: str
    class_name: str
    split: SplitName | None
    group: str = ""
    where: str = ""


@dataclasses.dataclass(frozen=True)
class Collected:
    """What a source found: the data set as far as it is sound, and everything that is not.

    Args:
        dataset: without the images that findings rule out; None where too little is left.
        findings: errors and warnings of the source itself.
    """

    dataset: Dataset | None
    findings: tuple[Finding, ...] = ()


def collect(
    name: str,
    root: Path,
    images: Sequence[Listed],
    findings: Sequence[Finding],
    *,
    need_train: bool = True,
    options: DataOptions | None = None,
) -> Collected:
    """Apply the class rules to a listing and build the data set.

    Args:
        name: of the data set.
        root: what relative paths start from.
        images: everything that was listed.
        findings: what the source has found already; it comes first in the result.
        need_train: ask for a training split (or an unsplit set) of two classes or more; a set
            to evaluate on may have any.
        options: say whether classes whose names differ invisibly are one; None for an error.
    """
    found = list(findings)
    if not images:
        return Collected(None, tuple(found))
    images, similar = _with_similar(images, options.merge_similar_classes if options else None)
    found += similar
    in_train = {image.class_name for image in images if image.split in (None, "train")}
    if not in_train and not need_train:
        in_train = {image.class_name for image in images}
    classes = tuple(sorted(in_train))
    alike = {name for finding in similar for name in finding.classes}
    found += _class_findings(root, images, classes, alike, need_train)
    kept = [image for image in images if image.class_name in in_train]
    if len(classes) < (2 if need_train else 1) or not kept:
        return Collected(None, tuple(found))
    grouped = any(image.group for image in kept)
    number = {class_name: index for index, class_name in enumerate(classes)}
    dataset = Dataset(
        name=name,
        classes=classes,
        images=FileImages(root, tuple(image.path for image in kept)),
        labels=np.array([number[image.class_name] for image in kept], dtype=np.int64),
        splits={
            split: np.array([i for i, x in enumerate(kept) if x.split == split], dtype=np.int64)
            for split in SPLIT_NAMES
            if any(image.split == split for image in kept)
        },
        groups=_group_names(kept) if grouped else None,
    )
    return Collected(dataset, tuple(found))


def _with_similar(
    images: Sequence[Listed], merge: bool | None
) -> tuple[Sequence[Listed], list[Finding]]:
    """Treat classes whose names differ invisibly as was asked for."""
    counts = Counter(image.class_name for image in images)
    if merge is None:
        return images, alike_findings(counts)
    if not merge:
        return images, []
    in_train = Counter(x.class_name for x in images if x.split in (None, "train"))
    renamed, notes = merged_names(counts, in_train)
    return [
        image._replace(class_name=renamed.get(image.class_name, image.class_name))
        for image in images
    ], notes


def _group_names(images: Sequence[Listed]) -> tuple[str, ...]:
    """Give every image without a group one of its own."""
    return tuple(image.group or f"\0{number}" for number, image in enumerate(images))


def _class_findings(
    root: Path,
    images: Sequence[Listed],
    classes: Sequence[str],
    alike: Set[str],
    need_train: bool,
) -> list[Finding]:
    found = []
    if need_train and not classes:
        there = ", ".join(sorted({image.split for image in images if image.split}))
        found.append(
            Finding("no-train", "error", f"there is no training split (only {there})", (), "add it")
        )
        return found
    if need_train and len(classes) == 1:
        found.append(
            Finding(
                "one-class",
                "error",
                f"there is only one class, '{shown(classes[0])}'",
                (),
                "a classifier needs two or more class folders or labels",
                tuple(classes),
            )
        )
    known = set(classes)
    for split in ("val", "test"):
        here = [image for image in images if image.split == split]
        if not here:
            continue
        for extra in sorted({image.class_name for image in here} - known - alike):
            found.append(_extra_class(root, extra, split, here))
    return found


def _extra_class(root: Path, extra: str, split: str, here: Sequence[Listed]) -> Finding:
    those = [image for image in here if image.class_name == extra]
    at = f" ({those[0].where})" if those[0].where else ""
    return Finding(
        "class-extra",
        "error",
        f"class '{shown(extra)}' of {split}{at} does not occur in train "
        f"({len(those)} image{'s' if len(those) > 1 else ''})",
        tuple(os.path.join(root, image.path) for image in those),
        f"add training images of it, rename it, or take it out of {split}",
        (extra,),
    )


# --- class names that people take for one: other case, Unicode form, spaces, look-alikes ----------


# Letters of other scripts that are drawn like Latin ones.
_LOOK_ALIKE = str.maketrans("аеорсухіјѕԁһӏɡον", "aeopcyxijsdhlgov")
_PUNCTUATION = str.maketrans("‐‑–—−’‘", "-----''")
# Compatibility forms that look like what they stand for; not circled or raised digits.
_SAME_FORMS = ("<wide>", "<narrow>", "<noBreak>", "<compat>")


def merged_name_key(name: str) -> str:
    """Return what is equal for names that are taken for one."""
    text = "".join(_plain(character) for character in name)
    text = unicodedata.normalize("NFC", text).casefold()
    text = text.translate(_PUNCTUATION).translate(_LOOK_ALIKE)
    return re.sub(r"\s+", " ", text).strip()


def _plain(character: str) -> str:
    """Replace a character that is another form of a plain one; drop one without any width."""
    if unicodedata.category(character) == "Cf" or character in "\ufe0e\ufe0f":
        return ""
    if unicodedata.decomposition(character).startswith(_SAME_FORMS):
        return unicodedata.normalize("NFKC", character)
    return character


def similar_classes(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that are taken for one, each sorted."""
    groups: dict[str, set[str]] = {}
    for name in names:
        groups.setdefault(merged_name_key(name), set()).add(name)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def merged_names(
    counts: Mapping[str, int], in_train: Mapping[str, int]
) -> tuple[dict[str, str], list[Finding]]:
    """Make one class of similar names: that with the most training images, of equal ones the first.

    Args:
        counts: class name -> images.
        in_train: the same of training images alone; a name may be missing.

    Returns:
        Name -> name of its class, of those that are similar, and a note for each class.
    """
    renamed: dict[str, str] = {}
    notes = []
    for group in similar_classes(counts):
        kept = min(group, key=lambda name: (-in_train.get(name, 0), name))
        renamed |= dict.fromkeys(group, kept)
        others = [name for name in group if name != kept]
        are = "is" if len(others) == 1 else "are"
        text = f"{_spelled(others)} {are} taken as class {_spelled([kept])}"
        notes.append(Finding("class-alike", "note", text, (), "", tuple(group)))
    return renamed, notes


def alike_findings(counts: Mapping[str, int]) -> list[Finding]:
    """Name the classes that are taken for one, with the code points that tell them apart.

    Args:
        counts: class name -> images.
    """
    found = []
    for group in similar_classes(counts):
        numbers = ", ".join(count(counts[name], "image") for name in group)
        found.append(
            Finding(
                "class-alike",
                "error",
                f"classes {_spelled(group)} differ only by {_difference(group)} ({numbers})",
                (),
                "rename them; or --merge-similar-classes makes them one class, "
                "--no-merge-similar-classes keeps them apart",
                tuple(group),
            )
        )
    return found


def _spelled(names: Sequence[str]) -> str:
    """Quote names; where they look alike, with what cannot be seen as code points."""
    parts = [f"'{shown(name)}'{_code_points(name)}" for name in names]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _code_points(name: str) -> str:
    """Return the code points of what a reader cannot be sure of; empty where there is nothing."""
    odd = []
    for index, character in enumerate(name):
        code = f"U+{ord(character):04X}"
        if unicodedata.combining(character):
            odd.append(f"{name[index - 1 : index]} + {code}" if index else code)
        elif ord(character) > 127 and not 0xDC80 <= ord(character) <= 0xDCFF:
            odd.append(code)
        elif character.isspace() and not (name[:index].strip() and name[index + 1 :].strip()):
            odd.append(f"{code} at the {'start' if not name[:index].strip() else 'end'}")
        elif name[index : index + 2] == "  ":
            odd.append(f"two {code}")
    return f" ({', '.join(dict.fromkeys(odd))})" if odd else ""


def _difference(names: Sequence[str]) -> str:
    """Say what names differ by: the gentlest folding that makes them equal."""
    composed = [unicodedata.normalize("NFC", name) for name in names]
    single = [re.sub(r"\s+", " ", name).strip() for name in composed]
    if len(set(composed)) == 1:
        return "Unicode form"
    if len({name.casefold() for name in composed}) == 1:
        return "case"
    if len(set(single)) == 1:
        return "spaces"
    if len({name.casefold() for name in single}) == 1:
        return "case and spaces"
    return "characters that look alike or are invisible"
