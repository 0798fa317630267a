"""Tables held against the folders of their images: repeated, completed or contradicted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from reslab.data.dataset import FileImages, SplitName
from reslab.data.findings import count, list_names
from reslab.data.names import shown
from reslab.data.sources.collected import Collected, Listed
from reslab.data.sources.tables.collect import Listing
from reslab.data.sources.tables.roles import split_in_name
from reslab.errors import DataError

_USE_IT = "give the table itself as DATA to use its labels, or move it out of the folder"


def are_splits(classes: Sequence[str]) -> bool:
    """Tell whether folders are no classes: train_images against test_images."""
    return 2 * sum(split_in_name(name) is not None for name in classes) > len(classes)


class Folders:
    """What the folders alone say of each image: its class and its split.

    Args:
        found: what was listed by the names of the folders; nothing is said where that has errors.
    """

    def __init__(self, found: Collected) -> None:
        self.classes: dict[str, str] = {}
        self.splits: dict[str, SplitName] = {}
        dataset = found.dataset
        wrong = any(finding.severity == "error" for finding in found.findings)
        if dataset is None or wrong or not isinstance(dataset.images, FileImages):
            return
        if are_splits(dataset.classes):
            return
        paths = dataset.images.paths
        names = (dataset.classes[label] for label in dataset.labels.tolist())
        self.classes = dict(zip(paths, names, strict=True))
        for split, numbers in dataset.splits.items():
            self.splits |= {paths[number]: split for number in numbers.tolist()}

    @property
    def names(self) -> list[str]:
        """The classes."""
        return sorted(set(self.classes.values()))

    def repeated_by(self, listings: Sequence[Listing]) -> bool:
        """Tell whether tables make the same classes as the folders, if under other names.

        Raises:
            DataError: they agree with the folders for a part, or cover a small part otherwise.
        """
        if not self.classes:
            return False
        pairs = [
            (listing, image, self.classes[image.path])
            for listing in listings
            for image in listing.images
            if image.path in self.classes
        ]
        differing = [pair for pair in pairs if pair[1].class_name.casefold() != pair[2].casefold()]
        names = {(image.class_name, name) for _, image, name in pairs}
        one_to_one = len(names) == len({a for a, _ in names}) == len({b for _, b in names})
        if pairs and (not differing or one_to_one):
            return True
        if len(differing) < len(pairs):
            listing, image, name = differing[0]
            raise DataError(
                f"{shown(listing.file)}, {image.where}: {shown(image.path)} is "
                f"'{shown(image.class_name)}', but its folder says '{shown(name)}' "
                f"({len(differing):,} of {count(len(pairs), 'image')} differ)",
                remedy=_USE_IT,
            )
        if 2 * len(pairs) < len(self.classes):
            raise DataError(
                f"{shown(listings[0].file)} labels {len(pairs):,} of {len(self.classes):,} images, "
                f"and the folders are classes too ({list_names(self.names)})",
                remedy=_USE_IT,
            )
        return False

    def lack(self, listings: Sequence[Listing]) -> bool:
        """Tell whether tables say splits, groups or images that the folders do not.

        Raises:
            DataError: they say other splits than the folders.
        """
        images = [(listing, image) for listing in listings for image in listing.images]
        for listing, image in images:
            there = self.splits.get(image.path)
            if image.split and there and image.split != there:
                raise DataError(
                    f"{shown(listing.file)}, {image.where}: {shown(image.path)} is of "
                    f"{image.split}, but its folder says {there}",
                    remedy=_USE_IT,
                )
        if any(listing.has_groups for listing in listings):
            return True
        if any(listing.has_splits for listing in listings) and not self.splits:
            return True
        return any(image.path not in self.classes for _, image in images)

    def with_own_names(self, listings: Sequence[Listing]) -> list[Listing]:
        """Return tables with the folders' classes in place of their own, and with their splits."""
        own = {
            image.class_name: self.classes[image.path]
            for listing in listings
            for image in listing.images
            if image.path in self.classes
        }

        def renamed(image: Listed) -> Listed:
            name = self.classes.get(image.path) or own.get(image.class_name, image.class_name)
            return image._replace(class_name=name, split=image.split or self.splits.get(image.path))

        return [
            dataclasses.replace(listing, images=[renamed(image) for image in listing.images])
            for listing in listings
        ]
