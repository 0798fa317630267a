"""Image folder -> data set, with everything odd about it named.

``train|val|test/<class>/...`` or a flat ``<class>/...``; files may lie deeper below a class. Other
layouts that people bring are read where that is certain (see `layout`, and docs/data.md). Dotfiles
and other litter are skipped without a word, other files that are no images with a warning.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from reslab.data.dataset import SplitName
from reslab.data.findings import count
from reslab.data.names import shown
from reslab.data.options import DataOptions
from reslab.data.sources import levels, lists, masks
from reslab.data.sources import vocabulary as words
from reslab.data.sources.collected import Collected, Listed, collect
from reslab.data.sources.filenames import LabelExpression, labels_finding, labels_in_names
from reslab.data.sources.layout import find_splits
from reslab.data.sources.reading import Report, base
from reslab.data.sources.scan import Scan
from reslab.data.sources.unlabelled import ask_for_labels
from reslab.data.sources.wrappers import step_in


def collect_folder(
    root: Path, *, name: str = "", need_train: bool = True, options: DataOptions | None = None
) -> Collected:
    """List an image folder.

    Args:
        root: the folder; may itself be a link.
        name: of the data set; the folder's own name where empty.
        need_train: see `collected.collect`.
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
            return lists.with_listed_splits(self.scan, self.report, top, images)
        self._warn_loose(top)
        for other in self.scan.listing(top).folders:
            if other not in splits.folders.values() and not words.split_word(base(other)):
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
        annotated = lists.annotated_images(scan, report, folder, inner, split)
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
        paths = masks.without_mask_files(self.report, self.scan.listing(folder).images)
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
        class_folders = masks.without_mask_folders(scan, self.report, listing.folders)
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
        if base(folder).lower() not in ("unlabeled", "unlabelled", "unsup") or len(holding) < 2:
            return False
        self.report.leave_out(folder, "holds images without labels, as it says")
        return True

    def _read_flat(self, folder: str) -> list[Listed]:
        paths = masks.without_mask_files(self.report, self.scan.listing(folder).images)
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
        inverted = levels.splits_in_classes(scan, report, folder, holding, split)
        if inverted is not None:
            return inverted
        if report.num_errors > errors:
            return None
        for refuse in levels.REFUSALS:
            if refuse(scan, report, folder, holding, split):
                return None
        return [(inner, base(inner), split) for inner in class_folders]

    def _read_class(
        self, folder: str, class_name: str, split: SplitName | None, unused: list[str]
    ) -> list[Listed]:
        scan = self.scan
        files, others = masks.class_files(scan, self.report, folder)
        if not files:
            if words.is_side_word(base(folder)):
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
