"""Image folder -> data set, with everything odd about it named.

``train|val|test/<class>/...`` or a flat ``<class>/...``; files may lie deeper below a class. Other
layouts that people bring are read where that is certain (see docs/data.md). Dotfiles and other
litter are skipped without a word, other files that are no images with a warning.

The reader comes first, then what it asks, in the order in which it asks: wrappers, splits, levels,
masks, lists, labels.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from reslab.data.collect import (
    Collected,
    DataOptions,
    Finding,
    Listed,
    Severity,
    collect,
    count,
    list_names,
)
from reslab.data.dataset import SplitName
from reslab.data.sources.filenames import LabelExpression, labels_finding, labels_in_names
from reslab.data.sources.tree import (
    SPLIT_WORDS,
    Scan,
    are_pieces,
    are_places,
    class_and_split,
    is_image_path,
    is_image_word,
    is_mask_word,
    is_side_word,
    is_wrapper,
    likely_split,
    says_besides_split,
    says_unlabeled,
    shared_affix,
    split_and_rest,
    split_word,
    tokens_of,
    words_in,
)
from reslab.display.names import shown
from reslab.errors import DataError


def collect_folder(
    root: Path, *, name: str = "", need_train: bool = True, options: DataOptions | None = None
) -> Collected:
    """List an image folder.

    Args:
        root: the folder; may itself be a link.
        name: of the data set; the folder's own name where empty.
        need_train: see `collect.collect`.
        options: how it is to be read.

    Raises:
        UsageError: the expression that finds labels is none.
    """
    options = options or DataOptions()
    scan, report = Scan(root), Report()
    if options.label_from_name is not None:
        images = _by_expression(scan, report, LabelExpression(options.label_from_name))
    else:
        images = _Reader(scan, report, need_train).read()
    found = [*scan.findings(report.left_out), *report.found]
    if not images and not any(finding.severity == "error" for finding in found):
        report.add(
            "no-images",
            f"{shown(root)} holds no class folders with images",
            [scan.root],
            "lay it out as <class>/<image> or train/<class>/<image>",
        )
        found.append(report.found[-1])
    name = name or root.resolve().name
    return collect(name, root, images, found, need_train=need_train, options=options)


def _by_expression(scan: Scan, report: Report, names: LabelExpression) -> list[Listed]:
    paths = [scan.relative(path) for listing in scan.walk(scan.root) for path in listing.images]
    images, findings = names.images(scan.root, paths)
    report.found += findings
    return images


_UNLABELED = "holds images without labels, as it says"


class _Reader:
    """Reads one folder by its layout."""

    def __init__(self, scan: Scan, report: Report, need_train: bool) -> None:
        self.scan = scan
        self.report = report
        self.need_train = need_train

    def read(self) -> list[Listed]:
        """List all images, as far as it is certain what they are."""
        top = step_in(self.scan, self.report, self.scan.root, must_split=self.need_train)
        if self.report.num_errors:
            return []
        splits = find_splits(self.scan, self.report, top)
        if not splits.certain:
            return []
        if not splits.folders:
            images = self._read_level(top, None) or []
            return with_listed_splits(self.scan, self.report, top, images)
        self._warn_loose(top)
        for other in self.scan.listing(top).folders:
            if other not in splits.folders.values() and not split_word(base(other)):
                self.report.leave_out(other, "lies beside train and is no split")
        return self._read_splits(top, splits.folders)

    def _read_splits(self, top: str, folders: Mapping[SplitName, str]) -> list[Listed]:
        """List the splits, train first: it says which labels there are."""
        listed: dict[SplitName, list[Listed]] = {}
        for split in sorted(folders, key=lambda split: split != "train"):
            known = {image.class_name for image in listed.get("train", ())}
            listed[split] = self._read_split(split, folders[split], known, top)
        return [image for split in folders for image in listed[split]]

    def _read_split(self, split: SplitName, folder: str, known: set[str], top: str) -> list[Listed]:
        scan, report = self.scan, self.report
        must_split = self.need_train and split == "train"
        errors = report.num_errors
        inner = step_in(scan, report, folder, must_split=must_split)
        if report.num_errors > errors:
            return []
        annotated = annotated_images(scan, report, folder, inner, split)
        if annotated is not None:
            return annotated
        if scan.listing(inner).images and not scan.folders_with_images(inner):
            return self._read_names(inner, split, known, top)
        images = self._read_level(inner, split)
        if images is None:
            return []
        if not images:
            folders, others = scan.listing(folder).folders, scan.listing(folder).others
            holds = "holds no image in its class folders" if folders else _nothing_but(others)
            self._name_empty("split", folder, holds, split)
        return images

    def _read_names(self, folder: str, split: SplitName, known: set[str], top: str) -> list[Listed]:
        """List a split whose images lie in no class folders, by the labels in their names."""
        paths = without_mask_files(self.report, self.scan.listing(folder).images)
        labels = labels_in_names(paths)
        if split == "train" or (self.need_train is False and not known):
            if not labels:
                ask_for_labels(self.scan, self.report, folder, top, split)
            return self._named(paths, labels, split)
        if labels and known and set(labels) <= known:
            return self._named(paths, labels, split)
        self.report.leave_out(
            folder,
            "lies beside train and has no class folders",
            f"its {count(len(paths), 'image')} without labels are not used; `reslab predict` "
            "labels them",
        )
        return []

    def _named(
        self, paths: Sequence[str], labels: Sequence[str], split: SplitName | None
    ) -> list[Listed]:
        if not labels:
            return []
        images = [
            Listed(self.scan.relative(path), label, split)
            for path, label in zip(paths, labels, strict=True)
        ]
        self.report.found.append(labels_finding(images, f" of {split}" if split else ""))
        return images

    def _read_level(self, folder: str, split: SplitName | None) -> list[Listed] | None:
        """List every class folder below a split folder (or below the root).

        Returns:
            None where it is not clear which folders are the classes.
        """
        scan = self.scan
        listing = scan.listing(folder)
        holding = scan.folders_with_images(folder)
        if listing.images and not holding and split is None:
            return self._read_flat(folder)
        class_folders = without_mask_folders(scan, self.report, listing.folders)
        class_folders = [f for f in class_folders if not self._is_unlabelled(f, holding)]
        placed = self._placed(folder, class_folders, split)
        if placed is None:
            return None
        self._warn_loose(folder)
        images: list[Listed] = []
        unused: list[str] = []
        for class_folder, name, word in placed:
            images += self._read_class(class_folder, name, word, unused)
        if unused:
            below = os.path.commonpath([os.path.dirname(path) for path in unused])
            self.report.add(
                "ignored",
                f"{count(len(unused), 'file')} below {shown(below)} with no image suffix",
                unused,
                "they are not used; rename or remove them",
                severity="warning",
            )
        return images

    def _is_unlabelled(self, folder: str, holding: Sequence[str]) -> bool:
        """Leave out a folder of images that says itself that they have no labels."""
        if not says_unlabeled(base(folder)) or len(holding) < 2:
            return False
        self.report.leave_out(folder, _UNLABELED)
        return True

    def _read_flat(self, folder: str) -> list[Listed]:
        paths = without_mask_files(self.report, self.scan.listing(folder).images)
        labels = labels_in_names(paths)
        if not labels:
            ask_for_labels(self.scan, self.report, folder, folder, None)
        return self._named(paths, labels, None)

    def _placed(
        self, folder: str, class_folders: Sequence[str], split: SplitName | None
    ) -> list[tuple[str, str, SplitName | None]] | None:
        """Return (folder, class name, split) for each class folder; None where it is unclear."""
        scan, report = self.scan, self.report
        holding = [inner for inner in class_folders if scan.holds_images(inner)]
        errors = report.num_errors
        inverted = splits_in_classes(scan, report, folder, holding, split)
        if inverted is not None:
            return inverted
        if report.num_errors > errors:
            return None
        for refuse in REFUSALS:
            if refuse(scan, report, folder, holding, split):
                return None
        return [(inner, base(inner), split) for inner in class_folders]

    def _read_class(
        self, folder: str, class_name: str, split: SplitName | None, unused: list[str]
    ) -> list[Listed]:
        scan = self.scan
        files, others = class_files(scan, self.report, folder)
        if not files:
            if is_side_word(base(folder)):
                self.report.leave_out(folder, "holds no image")
            else:
                self._name_empty("class", folder, _nothing_but(others), split)
        else:
            unused += others
        return [Listed(scan.relative(path), class_name, split) for path in files]

    def _warn_loose(self, folder: str) -> None:
        images = self.scan.listing(folder).images
        if images:
            self.report.add(
                "ignored",
                f"{count(len(images), 'image')} beside the class folders of {shown(folder)}",
                images,
                "they are not used; move them into the folder of their class",
                severity="warning",
            )

    def _name_empty(self, what: str, folder: str, holds: str, split: SplitName | None) -> None:
        if self.scan.is_unreadable(folder):
            return
        self.report.add(
            f"{what}-empty",
            f"{what} folder {shown(folder)} {holds}",
            [folder],
            "add images or remove the folder",
            severity="error" if split in (None, "train") else "warning",
        )


def _nothing_but(others: Sequence[str]) -> str:
    return f"holds no image ({count(len(others), 'other file')})" if others else "is empty"


# --- what is said about a layout ------------------------------------------------------------------


class Report:
    """What is said about a layout, and the folders that are left out of it."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.left_out: list[str] = []

    def add(
        self,
        kind: str,
        message: str,
        paths: Sequence[str] = (),
        remedy: str = "",
        *,
        severity: Severity = "error",
    ) -> None:
        """Add a finding; an error unless said otherwise."""
        self.found.append(Finding(kind, severity, message, tuple(paths), remedy))

    def leave_out(self, folder: str, why: str, remedy: str = "") -> None:
        """Say that a folder is not used."""
        self.left_out.append(folder)
        self.add(
            "ignored",
            f"folder {shown(folder)} {why}",
            [folder],
            remedy or "it is not used; move it away if it should not be there",
            severity="warning",
        )

    @property
    def num_errors(self) -> int:
        """Return how many errors there are so far."""
        return sum(finding.severity == "error" for finding in self.found)


def base(path: str) -> str:
    """Return the name of a folder or file."""
    return os.path.basename(path)


def bases(paths: Sequence[str]) -> list[str]:
    """Return the names of folders or files."""
    return [base(path) for path in paths]


def expression(scan: Scan, above: str, *, skip: int, split: bool = False) -> str:
    """Return the flag that takes a folder's name for the label.

    Args:
        scan: where.
        above: the folder in which the split or class folders lie.
        skip: how many levels are passed over before the label.
        split: there are splits, which `above` lies in or else holds.
    """
    inside = scan.relative(above).split("/") if above != scan.root else []
    levels = ["[^/]+/"] * len(inside)
    if split:
        at = next((i for i, name in enumerate(inside) if split_and_rest(name)), None)
        if at is None:
            levels.append("(?P<split>[^/]+)/")
        else:
            levels[at] = "(?P<split>[^/]+)/"
    text = "^" + "".join(levels) + "[^/]+/" * skip
    return f"--label-from-name '{text}{'(?P<label>[^/]+)' if split else '([^/]+)'}/'"


# --- folders that only wrap the rest: walked through where that is certain ------------------------


def step_in(scan: Scan, report: Report, folder: str, *, must_split: bool) -> str:
    """Walk through folders that only wrap the rest, and say so.

    Args:
        scan: where.
        report: what is said.
        folder: where to begin.
        must_split: one class is not enough here, so that a single folder cannot be one.

    Returns:
        The folder in which the split, class or image files lie.
    """
    chain = [folder]
    while not scan.listing(chain[-1]).images:
        inner = _only_one(scan, chain[-1])
        if inner is None or (len(chain) > 1 and _names_split(base(inner))):
            break
        if len(chain) == 1 and split_word(base(inner)) and not split_word(base(folder)):
            break
        chain.append(inner)
    last = chain[-1]
    if len(chain) == 1 or not _is_inside(scan, chain, must_split=must_split):
        if len(chain) > 1 and must_split and len(scan.folders_with_images(last)) > 1:
            _ask_for_deeper(scan, report, folder, last)
        return folder
    levels = "one level" if len(chain) == 2 else f"{len(chain) - 1} levels"
    text = f"read {levels} deeper: {shown(scan.relative(last))}"
    report.add("layout", text, severity="note")
    for wrapper in chain[:-1]:
        for other in scan.listing(wrapper).folders:
            if other not in chain and scan.holds_images(other):
                why = "lies beside the images and holds masks or other things"
                report.leave_out(other, _UNLABELED if says_unlabeled(base(other)) else why)
    return last


def _names_split(name: str) -> bool:
    return split_and_rest(name) is not None


def _only_one(scan: Scan, folder: str) -> str | None:
    """Return the only sub-folder with images, apart from masks and from images without labels."""
    holding = scan.folders_with_images(folder)
    labeled = [inner for inner in holding if not says_unlabeled(base(inner))]
    holding = labeled or holding
    if len(holding) > 1 and any(is_image_word(base(inner)) for inner in holding):
        holding = [inner for inner in holding if not is_side_word(base(inner))]
    return holding[0] if len(holding) == 1 else None


def _is_inside(scan: Scan, chain: Sequence[str], *, must_split: bool) -> bool:
    """Tell whether the last folder of a chain is certainly where everything lies."""
    last = chain[-1]
    links = [_wraps(above, below) for above, below in itertools.pairwise(chain)]
    if scan.listing(last).images:  # a class, or images with their labels in their names
        return all(links) or (must_split and bool(labels_in_names(scan.listing(last).images)))
    if "train" in {split_word(name) for name in bases(scan.folders_with_images(last))}:
        return True
    return links[-1] if must_split else all(links)


def _wraps(above: str, below: str) -> bool:
    """Tell whether the name of an only sub-folder says nothing about what is in it."""
    name, outer = base(below), base(os.path.realpath(above))
    if tokens_of(name) == tokens_of(outer) != [] or is_wrapper(name):
        return True
    split, outer_split = split_and_rest(name), split_and_rest(outer)
    return split is not None and (outer_split is None or split[0] == outer_split[0])


def _ask_for_deeper(scan: Scan, report: Report, folder: str, last: str) -> None:
    inner = bases(scan.folders_with_images(last))
    report.add(
        "wrapper",
        f"{shown(folder)} holds only one folder with images, {shown(scan.relative(last))}, which "
        f"holds {len(inner)} ({list_names(inner)})",
        [last],
        f"if those are the classes or splits, go one level deeper: give {shown(last)}; or "
        f"{expression(scan, last, skip=0)}",
    )


# --- splits: which of the top folders they are ----------------------------------------------------
# Decided by names and by what lies where, never by counts of images. What is certain is done and
# said; what is not is an error that names the likely meaning and what says it.


@dataclasses.dataclass(frozen=True)
class Splits:
    """The split folders of a level.

    Args:
        folders: split -> path, in the order of the names of the folders.
        certain: False where an error was reported instead.
    """

    folders: Mapping[SplitName, str] = dataclasses.field(default_factory=dict)
    certain: bool = True


def find_splits(scan: Scan, report: Report, folder: str) -> Splits:
    """Find the split folders in a folder; a class may be called "train" among others."""
    folders = scan.listing(folder).folders
    named = {inner: split for inner in folders if (split := split_word(base(inner)))}
    affixed = shared_affix(bases([f for f in folders if f not in named]))
    named |= {inner: affixed[base(inner)] for inner in folders if base(inner) in affixed}
    others = [f for f in scan.folders_with_images(folder) if f not in named]
    if _refuse_unnamed_train(scan, report, folder, named, others):
        return Splits(certain=False)
    likely = _likely(scan, folder, named, others)
    if likely:
        _ask_for_split(scan, report, folder, named, likely)
        return Splits(certain=False)
    if class_and_split(bases(folders)):
        _ask_for_joined(report, folders)
        return Splits(certain=False)
    if not named:
        return Splits()
    nested = {inner for inner in named if _is_nested(scan, inner)}
    others = [inner for inner in others if not is_side_word(base(inner))]
    if _are_classes(scan, named, nested, others):
        return Splits()
    if len(named) == 1 and others:
        _ask_whether_class(scan, report, folder, next(iter(named)), others)
        return Splits(certain=False)
    twice = _twice(report, named)
    _say_splits(scan, report, {inner: s for inner, s in named.items() if inner not in twice})
    return Splits(_first({inner: named[inner] for inner in folders if inner in named}))


def _first(named: Mapping[str, SplitName]) -> dict[SplitName, str]:
    folders: dict[SplitName, str] = {}
    for inner, split in named.items():
        folders.setdefault(split, inner)
    return folders


def _is_nested(scan: Scan, folder: str) -> bool:
    """Tell whether a split folder holds folders, or nothing at all that could be an image."""
    return bool(scan.folders_with_images(folder)) or not scan.listing(folder).images


def _are_classes(
    scan: Scan, named: Mapping[str, SplitName], nested: set[str], others: Sequence[str]
) -> bool:
    """Tell whether folders that are called like splits are classes among others."""
    if not others:
        return False
    if "train" not in named.values():
        return True
    train = next(inner for inner, split in named.items() if split == "train")
    if train in nested:
        return False
    return len(named) == 1 and not labels_in_names(scan.listing(train).images)


def _likely(
    scan: Scan, folder: str, named: Mapping[str, SplitName], others: Sequence[str]
) -> dict[str, SplitName]:
    """Return the folders that are most likely splits, where their siblings look like splits."""
    names = bases(scan.listing(folder).folders)
    likely = {inner: split for inner in others if (split := likely_split(base(inner), names))}
    trains = [inner for inner, split in named.items() if split == "train"]
    hints = {inner for inner in likely if split_and_rest(base(inner))}
    if not trains or not _is_nested(scan, trains[0]):  # "test_tube" is a class beside "train"
        likely = {inner: split for inner, split in likely.items() if inner not in hints}
    else:  # the name of another test set says nothing where there is one
        known = set(named.values())
        likely = {f: split for f, split in likely.items() if f not in hints or split not in known}
    if trains:
        return likely
    alone = len(likely) == len(others) and len(likely) + len(named) > 1
    return likely if alone else {}


def _refuse_unnamed_train(
    scan: Scan,
    report: Report,
    folder: str,
    named: Mapping[str, SplitName],
    others: Sequence[str],
) -> bool:
    """Report ``rps`` beside ``rps-test-set``, or ``data`` beside ``test``: train without the word.

    Where both hold images themselves they may be classes, unless the name says nothing at all.
    """
    if "train" in named.values():
        return False
    for held_out in [*named, *others]:
        found = split_and_rest(base(held_out))
        if found is None or found[0] == "train":
            continue
        for other in others:
            same = other != held_out and says_besides_split(base(other)) == found[1]
            nested = _is_nested(scan, other) and _is_nested(scan, held_out)
            if same and (nested or not found[1]):
                report.add(
                    "split-unclear",
                    f"'{shown(base(held_out))}' is called like a {found[0]} split, which makes "
                    f"'{shown(base(other))}' most likely the train split",
                    [other, held_out],
                    f"rename {shown(base(other))} to train and {shown(base(held_out))} to "
                    f"{found[0]}; if they are classes: {expression(scan, folder, skip=0)}",
                )
                return True
    return False


def _ask_for_split(
    scan: Scan,
    report: Report,
    folder: str,
    named: Mapping[str, SplitName],
    likely: Mapping[str, SplitName],
) -> None:
    inside = list(likely)
    said = " and ".join(f"'{shown(base(inner))}' is most likely the {s} split" for inner, s in
                        likely.items())  # fmt: skip
    beside = f" beside {list_names(bases(list(named)))}" if named else ""
    rename = ", ".join(f"{shown(base(inner))} to {split}" for inner, split in likely.items())
    both = {**named, **likely}
    deep = any(scan.folders_with_images(inner) for inner in both)
    flag = expression(scan, folder, skip=0, split=True) if deep else expression(
        scan, folder, skip=0
    )  # fmt: skip
    text = f"say so with {flag}" if deep else f"{flag} takes them for classes"
    report.add(
        "split-unclear",
        f"{said}{beside}, but the name does not say so for certain",
        inside,
        f"rename {rename}, or {text}",
    )


def _ask_for_joined(report: Report, folders: Sequence[str]) -> None:
    report.add(
        "split-unclear",
        f"folders like {list_names(bases(folders), 4)} name a class and a split in one",
        folders,
        "lay them out as train/<class>, or say which part is which, as --label-from-name "
        "'^(?P<label>.+)_(?P<split>train|test)/'",
    )


def _ask_whether_class(
    scan: Scan, report: Report, folder: str, split: str, others: Sequence[str]
) -> None:
    report.add(
        "split-unclear",
        f"folder {shown(split)} is called like a split but lies beside "
        f"{list_names(bases(others))}, where there are images too",
        [split, *others],
        f"if it is a class: {expression(scan, folder, skip=0)}; if it is the split, move the "
        "others away",
    )


def _twice(report: Report, named: Mapping[str, SplitName]) -> set[str]:
    first: dict[SplitName, str] = {}
    twice = set()
    for inner, split in named.items():
        if split in first:
            twice.add(inner)
            report.add(
                "split-twice",
                f"both {shown(first[split])} and {shown(inner)} are the {split} split",
                [first[split], inner],
                "keep one of them",
            )
        first.setdefault(split, inner)
    return twice


def _say_splits(scan: Scan, report: Report, named: Mapping[str, SplitName]) -> None:
    """Say which folders are taken for which split, where their names are not the plain"""
    odd = [
        f"{shown(scan.relative(inner))} is taken as {split}"
        for inner, split in named.items()
        if base(inner).lower() not in SPLIT_WORDS
    ]
    if odd:
        report.add("layout", ", ".join(odd), severity="note")


# --- levels: folders that look like classes and hold the same folders each ------------------------


_NO_CLASS = frozenset(("images", "imgs", "jpegimages", "jpg", "jpeg", "png"))
Placed = tuple[str, str, SplitName | None]  # folder, class name, split


def splits_in_classes(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> list[Placed] | None:
    """Read ``cat/train``, ``cat/test``, ``dog/train``: classes that hold their splits.

    Args:
        scan: where.
        report: gets an error where that is not certain.
        above: the folder that holds them.
        folders: what may be classes, each with images somewhere below.
        split: the split that they lie in.

    Returns:
        The split folders with their classes; None where no folder holds splits, or after an error.
    """
    inside = {folder: _split_folders(scan, folder) for folder in folders}
    with_train = [f for f, splits in inside.items() if {"train"} < set(splits.values())]
    if not with_train:
        return None
    if split is None and all(_holds_only_splits(scan, f, inside[f]) for f in folders):
        first = inside[with_train[0]]
        report.add(
            "layout",
            "each class folder holds its splits: "
            + ", ".join(f"{shown(scan.relative(f))} is taken as {s}" for f, s in first.items()),
            severity="note",
        )
        return [(f, base(folder), s) for folder in folders for f, s in inside[folder].items()]
    folder = with_train[0]
    names = list_names(bases(list(inside[folder])))
    if all(not scan.listing(f).images and len(set(inside[f].values())) > 1 for f in folders):
        remedy = f"each is a data set of its own: give one of them, as {shown(folder)}"
    else:
        remedy = (
            "lay them out as train/<class>, or say which level is the class: "
            f"{expression(scan, above, skip=0, split=split is not None)}"
        )
    report.add(
        "split-unclear",
        f"folder {shown(folder)} holds splits ({names}) where class folders are expected",
        with_train,
        remedy,
    )
    return None


def _split_folders(scan: Scan, folder: str) -> dict[str, SplitName]:
    return {
        inner: split
        for inner in scan.folders_with_images(folder)
        if (split := split_word(base(inner)))
    }


def _holds_only_splits(scan: Scan, folder: str, splits: dict[str, SplitName]) -> bool:
    """Tell whether a class folder holds only one folder of images for each of some splits."""
    return (
        bool(splits)
        and list(splits) == scan.folders_with_images(folder)
        and len(set(splits.values())) == len(splits)
        and not scan.listing(folder).images
        and not any(scan.folders_with_images(inner) for inner in splits)
    )


def refuse_same_folders(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> bool:
    """Report folders that hold the same folders each: either level could be the classes.

    Certain is only one case: the inner folders number pieces (batch1, batch2), the outer do not.
    """
    shared = _same_folders(scan, folders)
    if not shared:
        return False
    outer = bases(folders)
    places, inner_places = are_places(outer), are_places(shared)
    if inner_places and not places:
        return False
    deep = split is not None
    out, inner = (expression(scan, above, skip=skip, split=deep) for skip in (0, 1))
    meaning = (
        f"the classes are most likely {list_names(shared)}"
        if places and not inner_places
        else "either may be the classes"
    )
    report.add(
        "level-unclear",
        f"the folders {list_names(outer)} hold the same folders each ({list_names(shared)}): "
        f"{meaning}",
        folders,
        f"for the inner ones: {inner}; for the outer ones: {out}",
    )
    return True


def _same_folders(scan: Scan, folders: Sequence[str]) -> list[str]:
    """Return the names that most of some folders have among their sub-folders, if they do.

    Only where the folders hold no images themselves: then it is not certain which level is the
    classes.
    """
    inner = {
        folder: {_key(base(name)): base(name) for name in _countable(scan, folder)}
        for folder in folders
        if not scan.listing(folder).images
    }
    if len(inner) < 2 or len(inner) < 0.8 * len(folders):
        return []
    times: dict[str, int] = {}
    for names in inner.values():
        for key in names:
            times[key] = times.get(key, 0) + 1
    shared: dict[str, str] = {}
    for names in inner.values():
        common = {key: name for key, name in names.items() if times[key] > 1}
        if 2 * len(common) < len(names):
            return []
        shared = {**common, **shared}
    return [shared[key] for key in sorted(shared)] if len(shared) > 1 else []


def _countable(scan: Scan, folder: str) -> list[str]:
    """Return the sub-folders with images, without masks beside a folder of images."""
    inner = scan.folders_with_images(folder)
    if any(is_image_word(base(name)) for name in inner):
        return [name for name in inner if not is_mask_word(base(name))]
    return inner


def _key(name: str) -> str:
    return re.sub(r"\s+", " ", name.strip().casefold())


def refuse_pieces(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> bool:
    """Report folders whose names number the pieces of one set: folds, parts, shards."""
    names = bases(folders)
    if not are_pieces(names):
        return False
    report.add(
        "pieces",
        f"the folders {list_names(names)} are called like pieces of one set, not like classes",
        folders,
        "list the labels in a CSV (path,label), lay the images out as <class>/<image>, or, if the "
        f"pieces are the classes: {expression(scan, above, skip=0, split=split is not None)}",
    )
    return True


def refuse_image_words(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> bool:
    """Report a folder that is only called "images" among what would be classes."""
    odd = [folder for folder in folders if base(folder).lower() in _NO_CLASS]
    if not odd or len(folders) < 2:
        return False
    names = list_names([base(folder) for folder in folders if folder not in odd])
    flag = expression(scan, above, skip=0, split=split is not None)
    report.add(
        "level-unclear",
        f"folder {shown(odd[0])} lies beside {names}: its name is not that of a class",
        odd,
        f"give the folder that holds the class folders; or, if these are the classes: {flag}",
    )
    return True


def refuse_splits_in_split(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> bool:
    """Report a split that holds nothing but split folders: trained on, they would be classes."""
    found = [split_and_rest(base(folder)) for folder in folders]
    if split is None or len(found) < 2 or None in found or len({f[0] for f in found if f}) < 2:
        return False
    if len({f[1] for f in found if f}) > 1:
        return False
    report.add(
        "split-unclear",
        f"the {split} split {shown(above)} holds splits again ({list_names(bases(folders))})",
        folders,
        f"give the folder that holds the right ones, as {shown(above)}",
    )
    return True


def refuse_places(
    scan: Scan, report: Report, above: str, folders: Sequence[str], split: SplitName | None
) -> bool:
    """Report ``camera1`` and ``camera2`` that hold folders, which may be the classes."""
    names = bases(folders)
    inner = sorted({base(name) for folder in folders for name in scan.folders_with_images(folder)})
    numbered = are_places(inner) or all(are_places([name, name]) for name in inner)
    if not inner or not are_places(names) or numbered or all(map(is_wrapper, inner)):
        return False
    out, deep = (expression(scan, above, skip=skip, split=split is not None) for skip in (0, 1))
    report.add(
        "level-unclear",
        f"the folders {list_names(names)} are called like the places or pieces of one set, and "
        f"hold folders that may be the classes ({list_names(inner)})",
        folders,
        f"for the inner ones: {deep}; for the outer ones: {out}",
    )
    return True


REFUSALS = (
    refuse_splits_in_split,
    refuse_same_folders,
    refuse_places,
    refuse_pieces,
    refuse_image_words,
)


# --- masks and other annotations that are images themselves: never classes, never images ----------


# Folders that nobody calls a class: "mask" may be one, beside "no_mask".
_PLAIN = words_in(
    "masks annotations trimaps segmentations groundtruth ground_truth bboxes segmentation"
)
_MASK_OF = re.compile(
    r"(?P<of>.+?)[\s._-]+(mask|masks|seg|segmentation|gt|groundtruth|label|labels|trimap|"
    r"annotation|annotated)([\s_-]?\d+)?",
    re.IGNORECASE,
)


def without_mask_folders(scan: Scan, report: Report, folders: Sequence[str]) -> list[str]:
    """Leave out what repeats the class folders beside it: masks, or a copy of them all.

    Masks: the files are named as those of the others. A copy: it holds folders as those beside it.
    """
    kept = []
    for folder in folders:
        others = [other for other in folders if other != folder]
        if _repeats_folders(scan, folder, others):
            report.leave_out(folder, "holds the same folders as lie beside it")
        elif base(folder).lower() in _PLAIN and _repeats_files(scan, folder, others):
            report.leave_out(folder, "repeats the names of the others, as masks do")
        else:
            kept.append(folder)
    return kept


def _repeats_folders(scan: Scan, folder: str, others: Sequence[str]) -> bool:
    """Tell whether all folders in a folder are called like those beside it, two or more."""
    listing = scan.listing(folder)
    inner = set(bases(scan.folders_with_images(folder)))
    if len(inner) == 1 and not listing.images and inner == {base(folder)}:  # PlantVillage twice
        below = scan.folders_with_images(folder)[0]
        return _repeats_folders(scan, below, others)
    return len(inner) > 1 and not listing.images and inner <= set(bases(others))


def _repeats_files(scan: Scan, folder: str, others: Sequence[str]) -> bool:
    """Tell whether half of the images in a folder are named like others beside it."""
    stems = {_bare(path) for path in scan.listing(folder).images}
    beside = {
        _bare(path) for other in others for found in scan.walk(other) for path in found.images
    }
    return bool(stems) and 2 * len(stems & beside) >= len(stems)


def _bare(path: str) -> str:
    stem = os.path.splitext(base(path))[0]
    match = _MASK_OF.fullmatch(stem)
    return match["of"] if match else stem


def class_files(scan: Scan, report: Report, folder: str) -> tuple[list[str], list[str]]:
    """Return the image files and the other files below a class folder, without masks."""
    images: list[str] = []
    others: list[str] = []
    stack = [folder]
    while stack:
        here = stack.pop()
        listing = scan.listing(here)
        images += without_mask_files(report, listing.images)
        others += listing.others
        inner = listing.folders
        if any(is_image_word(base(name)) for name in inner):
            for name in inner:
                if is_mask_word(base(name)) and scan.holds_images(name):
                    report.leave_out(name, "lies beside the images and holds their masks")
            inner = [name for name in inner if name not in report.left_out]
        stack += reversed(inner)
    return images, others


def without_mask_files(report: Report, paths: Sequence[str]) -> list[str]:
    """Leave out ``x_mask.png`` beside ``x.png``, and say so."""
    stems = {os.path.splitext(base(path))[0] for path in paths}
    found = []
    for path in paths:
        match = _MASK_OF.fullmatch(os.path.splitext(base(path))[0])
        if match is not None and match["of"] in stems:
            found.append(path)
    if not found:
        return list(paths)
    report.add(
        "masks",
        f"{count(len(found), 'mask')} beside the images of {shown(os.path.dirname(found[0]))}: "
        f"{list_names(bases(found))}",
        found,
        "they are not used; move them away if that is right, rename them if it is not",
        severity="warning",
    )
    left = set(found)
    return [path for path in paths if path not in left]


# --- text files beside images that say labels or splits: Tiny-ImageNet, CUB-200-2011, Food-101 ----


_CUB_NAMES, _CUB_SPLITS = "images.txt", "train_test_split.txt"
_ANNOTATIONS = "_annotations.txt"
_LIST_FOLDERS = frozenset({"meta", "splits", "split", "lists", "imagesets"})


def annotated_images(
    scan: Scan, report: Report, folder: str, inner: str, split: SplitName
) -> list[Listed] | None:
    """List a split whose labels stand in ``*_annotations.txt``: name, label, perhaps a box.

    Args:
        scan: where.
        report: gets an error for each fault of the file.
        folder: the split.
        inner: where its images lie, ``folder`` or ``folder/images``.
        split: which it is.

    Returns:
        None where there is no such file.
    """
    files = [path for path in scan.listing(folder).others if base(path).endswith(_ANNOTATIONS)]
    images = scan.listing(inner).images
    if len(files) != 1 or not images:
        return None
    labels = {
        fields[0]: fields[1]
        for line in _lines(files[0])
        if len(fields := line.split("\t") if "\t" in line else line.split()) > 1
    }
    missing = [base(path) for path in images if base(path) not in labels]
    if missing:
        report.add(
            "list-incomplete",
            f"{shown(files[0])} holds no label for {count(len(missing), 'image')} beside it: "
            f"{list_names(missing)}",
            [files[0]],
            "restore the file, or lay the images out as <class>/<image>",
        )
        return []
    report.add(
        "layout",
        f"the labels of {split} are read from {shown(scan.relative(files[0]))}",
        severity="note",
    )
    return [Listed(scan.relative(path), labels[base(path)], split) for path in images]


def with_listed_splits(
    scan: Scan, report: Report, top: str, images: Sequence[Listed]
) -> list[Listed]:
    """Give images the splits that text files beside them say, if they name every image.

    Args:
        scan: where.
        report: what is said; an error where a list and the images differ.
        top: the folder of the class folders.
        images: not split yet.
    """
    if not images or any(image.split for image in images):
        return list(images)
    for folder in _from_here_up(scan, top):
        files = {base(path): path for path in scan.listing(folder).others}
        if {_CUB_NAMES, _CUB_SPLITS} <= files.keys():
            listed = _cub(files[_CUB_NAMES], files[_CUB_SPLITS])
            return _apply(scan, report, top, images, listed, files[_CUB_SPLITS], must_fit=True)
        for place in (folder, *(f for f in scan.listing(folder).folders if _is_list_folder(f))):
            named = _split_files(scan, place)
            if "train" in named and len(named) > 1:
                listed = {
                    line.split()[0]: split
                    for split, path in named.items()
                    for line in _lines(path)
                    if line.split()
                }
                return _apply(scan, report, top, images, listed, named["train"], must_fit=False)
    return list(images)


def _from_here_up(scan: Scan, folder: str) -> Iterator[str]:
    while True:
        yield folder
        if folder == scan.root:
            return
        folder = os.path.dirname(folder)


def _is_list_folder(folder: str) -> bool:
    return base(folder).lower() in _LIST_FOLDERS


def _split_files(scan: Scan, folder: str) -> dict[SplitName, str]:
    """Return train.txt, val.txt and test.txt of a folder."""
    found: dict[SplitName, str] = {}
    for path in scan.listing(folder).others:
        stem, suffix = os.path.splitext(base(path).lower())
        if suffix == ".txt" and stem in SPLIT_WORDS:
            found[SPLIT_WORDS[stem]] = path
    return found


def _cub(names: str, splits: str) -> dict[str, SplitName]:
    """Join ``<number> <path>`` with ``<number> <1 for train>``."""
    path_of = dict(line.split(maxsplit=1) for line in _lines(names) if len(line.split()) > 1)
    flags = dict(line.split(maxsplit=1) for line in _lines(splits) if len(line.split()) > 1)
    return {
        path.strip(): "train" if flags[number].strip() == "1" else "test"
        for number, path in path_of.items()
        if number in flags
    }


def _apply(
    scan: Scan,
    report: Report,
    top: str,
    images: Sequence[Listed],
    listed: Mapping[str, SplitName],
    file: str,
    *,
    must_fit: bool,
) -> list[Listed]:
    """Give every image its split; name the list that does not fit the images."""
    inside = scan.relative(top) + "/" if top != scan.root else ""
    split_of: dict[str, SplitName] = {}
    for path, split in listed.items():
        split_of[os.path.splitext(path)[0] if is_image_path(path) else path] = split
    splits = []
    for image in images:
        stem = os.path.splitext(image.path)[0]
        splits.append(split_of.get(stem.removeprefix(inside)) or split_of.get(stem))
    missing = [x.path for x, split in zip(images, splits, strict=True) if split is None]
    where = shown(scan.relative(file))
    if missing:
        report.add(
            "list-incomplete",
            f"{where} says no split for {len(missing):,} of {count(len(images), 'image')}: "
            f"{list_names(missing)}",
            [file],
            "restore it, or remove it to have the images split again"
            if must_fit
            else "the list is not used; remove it, or lay the images out as train/<class>/<image>",
            severity="error" if must_fit else "warning",
        )
        return list(images)
    counts = ", ".join(f"{name} {splits.count(name):,}" for name in dict.fromkeys(splits) if name)
    report.add("layout", f"the splits are read from {where} ({counts})", severity="note")
    return [x._replace(split=split) for x, split in zip(images, splits, strict=True)]


def _lines(path: str) -> list[str]:
    """Read the lines of a text file."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [line.rstrip("\r\n") for line in file if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"{shown(path)} is not UTF-8", remedy="save the file as UTF-8") from None


# --- images in no class folders -------------------------------------------------------------------


def ask_for_labels(
    scan: Scan, report: Report, folder: str, top: str, split: SplitName | None
) -> None:
    """Say that images have no labels, and what the folders are that look like classes.

    Args:
        scan: where.
        report: gets the error.
        folder: where the images lie.
        top: the folder of the split folders.
        split: which split the images are of; None where there are no splits.
    """
    number = count(len(scan.listing(folder).images), "image")
    folders: list[str] = []
    if split is None:
        what = f"{shown(folder)} holds {number} and no class folders"
    else:
        folders = [f for f in scan.listing(top).folders if split_and_rest(base(f))]
        folders = [f for f in folders if not is_side_word(base(f))]
        are = "are splits, not classes" if len(folders) > 1 else "is a split, not a class"
        what = (
            f"{' and '.join(map(shown, bases(folders)))} {are}: {shown(folder)} holds {number} "
            "and no class folders"
        )
    boxes = _box_files(scan, folder)
    remedy = (
        "lay it out as <class>/<image>, list the labels in a CSV (path,label), or say how a "
        "name holds its label: --label-from-name REGEX"
    )
    if boxes:
        what += f" ({boxes}: boxes for detection, which is no labelling of whole images)"
    elif split is not None and len(folders) > 1:
        remedy += f"; if they are classes: {expression(scan, top, skip=0)}"
    report.add("labels-unknown", f"{what}, and their names hold no label", [folder], remedy)


def _box_files(scan: Scan, folder: str) -> str:
    """Name the files that hold boxes, beside images or in a folder beside them."""
    above = os.path.dirname(folder)
    places = [folder, *(scan.listing(above).folders if folder != scan.root else [])]
    stems = {os.path.splitext(name)[0] for name in bases(scan.listing(folder).images)}
    for place in places:
        texts = [
            path for path in scan.listing(place).others if path.lower().endswith((".txt", ".xml"))
        ]
        boxes = [path for path in texts if os.path.splitext(base(path))[0] in stems]
        if boxes:
            return f"beside them lie {list_names(bases(boxes), 2)}"
    return ""
