"""Which images a run trained, validated and tested on, by their content.

A run and its model carry such a record, so that the same images are known again wherever they lie
and whatever they are called: to resume where the data were moved, and to evaluate on images that
the model has not seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reslab.data.arrays import Indices
from reslab.data.collect import count
from reslab.data.dataset import DIGEST_BYTES, SPLIT_NAMES, Dataset, Digests, SplitName, keys
from reslab.data.split import image_keys
from reslab.display.names import shown
from reslab.display.short import short_repr
from reslab.errors import CheckpointError

FILE = "images.safetensors"
_IN_NO_SPLIT = len(SPLIT_NAMES)
_NAMED = 3


@dataclasses.dataclass(frozen=True, eq=False)
class ImageRecord:
    """The images of a run, in the order of their numbers.

    Args:
        digests: the content of each image, uint8 (N, 16).
        labels: int64 (N,), class numbers.
        splits: int64 (N,), the place in SPLIT_NAMES of each image's split.
        earlier: what the models before were trained on that the run started from, uint8 (M, 16).
    """

    digests: Digests
    labels: Indices
    splits: Indices
    earlier: Digests

    __repr__ = short_repr

    @classmethod
    def of(cls, dataset: Dataset, earlier: Digests | None = None) -> ImageRecord:
        """Record a data set whose splits are complete."""
        splits = np.full(len(dataset.labels), _IN_NO_SPLIT, np.int64)
        for name, indices in dataset.splits.items():
            splits[indices] = SPLIT_NAMES.index(name)
        nothing = np.zeros((0, DIGEST_BYTES), np.uint8)
        return cls(
            dataset.images.digests(),
            dataset.labels,
            splits,
            nothing if earlier is None else earlier,
        )

    def to_bytes(self) -> bytes:
        """Return what is written into images.safetensors."""
        from safetensors.numpy import save

        return save(
            {
                "digests": np.ascontiguousarray(self.digests),
                "labels": self.labels.astype(np.int32),
                "splits": self.splits.astype(np.uint8),
                "earlier": np.ascontiguousarray(self.earlier),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> ImageRecord:
        """Read what `to_bytes` wrote.

        Raises:
            CheckpointError: it is damaged; `where` is named.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            found = load(data)
            record = cls(
                found["digests"],
                found["labels"].astype(np.int64),
                found["splits"].astype(np.int64),
                found["earlier"],
            )
            shapes = (record.labels.shape, record.splits.shape, record.digests.shape[1:])
            num = len(record.digests)
            if shapes != ((num,), (num,), (DIGEST_BYTES,)) or record.digests.dtype != np.uint8:
                raise ValueError("tensors of other shapes")
        except (SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(f"{where} is damaged: {error}") from error
        return record

    @property
    def seen(self) -> Digests:
        """What the model was trained on, that of the models before it included."""
        trained = self.digests[self.splits == SPLIT_NAMES.index("train")]
        return np.concatenate([trained, self.earlier])

    def split_of(self, digests: Digests) -> npt.NDArray[np.int64]:
        """Return the place in SPLIT_NAMES of each image, or -1 of those that are not recorded.

        Of equal images in several splits that of training counts.
        """
        place = np.full(len(digests), -1, np.int64)
        wanted = keys(digests)
        for number in (2, 1):
            place[np.isin(wanted, keys(self.digests[self.splits == number]))] = number
        place[np.isin(wanted, keys(self.seen))] = SPLIT_NAMES.index("train")
        return place

    def put_back(self, dataset: Dataset, classes: Sequence[str]) -> Dataset | None:
        """Give images that are the recorded ones their numbers, class numbers and splits again.

        Args:
            dataset: the images, in any order and under any names.
            classes: of the run, in the order of its class numbers.

        Returns:
            None where an image is missing, new, changed, of another class, or was moved to
            another split by hand.
        """
        labels = _numbered(dataset, classes)
        order = _order(self.digests, self.labels, dataset.images.digests(), labels)
        if order is None:
            return None
        prefetch = np.array_equal(order, np.arange(len(order)))
        groups = dataset.groups
        again = dataclasses.replace(
            dataset,
            classes=tuple(classes),
            images=dataset.images if prefetch else dataset.images.take(order),
            labels=self.labels,
            splits={
                name: np.flatnonzero(self.splits == number)
                for number, name in enumerate(SPLIT_NAMES)
                if (self.splits == number).any()
            },
            groups=None if groups is None else tuple(groups[i] for i in order.tolist()),
        )
        return again if _agree(again, dataset, order) else None

    def differences(
        self, dataset: Dataset, classes: Sequence[str], names: Sequence[str] = ()
    ) -> str:
        """Say in a few words how images differ from those recorded, by numbers and first names.

        Args:
            dataset: the images.
            classes: of the run.
            names: what the recorded images were called, where that is known.
        """
        found = image_keys(dataset)
        names = names if len(names) == len(self.digests) else [""] * len(self.digests)
        mine, theirs = _unmatched(
            _listing(self.digests, self.labels, names),
            _listing(dataset.images.digests(), _numbered(dataset, classes), found),
        )
        new = {found[number]: number for number in theirs}
        changed, relabelled, missing = [], [], []
        by_digest = {dataset.images.digests()[n].tobytes(): found[n] for n in theirs}
        for number in mine:
            name = names[number]
            elsewhere = by_digest.get(self.digests[number].tobytes())
            if elsewhere in new:
                relabelled.append(elsewhere)
                new.pop(elsewhere)
            elif name in new:
                changed.append(name)
                new.pop(name)
            else:
                missing.append(name)
        parts = (
            (changed, "has changed", "have changed"),
            (relabelled, "is of another class", "are of another class"),
            (missing, "is missing", "are missing"),
            (list(new), "is new", "are new"),
        )
        said = [_listed(those, one, many) for those, one, many in parts if those]
        return ", ".join(said) or "images lie in another split than in the run"


def read_record(folder: Path) -> ImageRecord | None:
    """Read the record of a run directory; None where an older reslab wrote none.

    Raises:
        CheckpointError: it is damaged.
    """
    path = folder / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    return ImageRecord.from_bytes(data, str(path))


def recorded_names(
    record: ImageRecord, split: Mapping[str, Any], classes: Sequence[str]
) -> list[str]:
    """Return what the recorded images were called, by number, from what split.json holds.

    There, images are listed by split and class, in the order of their numbers. Empty where it
    does not fit the record.
    """
    names = [""] * len(record.digests)
    for number, name in enumerate(SPLIT_NAMES):
        for label, class_name in enumerate(classes):
            those = np.flatnonzero((record.splits == number) & (record.labels == label))
            listed = split.get(name, {}).get(class_name, [])
            if len(those) != len(listed):
                return []
            for index, key in zip(those.tolist(), listed, strict=True):
                names[index] = key
    return names


class _Image(NamedTuple):
    digest: bytes
    label: int
    name: str


def _listing(digests: Digests, labels: Indices, names: Sequence[str]) -> list[_Image]:
    triples = zip(digests, labels.tolist(), names, strict=True)
    return [_Image(digest.tobytes(), label, name) for digest, label, name in triples]


def _listed(names: Sequence[str], one: str, many: str) -> str:
    known = [shown(name) for name in names if name]
    few = ", ".join(known[:_NAMED]) + (", ..." if len(known) > _NAMED else "")
    return f"{count(len(names), 'image')} {one if len(names) == 1 else many}" + (
        f" ({few})" if few else ""
    )


def _numbered(dataset: Dataset, classes: Sequence[str]) -> Indices:
    """Return the label of each image as the run numbers classes, -1 for one it does not know."""
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number.get(name, -1) for name in dataset.classes], np.int64)[dataset.labels]


def _order(mine: Digests, labels: Indices, theirs: Digests, others: Indices) -> Indices | None:
    """Return which of their images is mine number i, for all i; None where that does not come out.

    Equal images keep their order among themselves.
    """
    if len(mine) != len(theirs):
        return None
    my_sort, their_sort = _sorted(mine, labels), _sorted(theirs, others)
    same = np.array_equal(mine[my_sort], theirs[their_sort])
    if not same or not np.array_equal(labels[my_sort], others[their_sort]):
        return None
    order = np.empty(len(mine), np.int64)
    order[my_sort] = their_sort
    return order


def _sorted(digests: Digests, labels: Indices) -> Indices:
    return np.lexsort((labels, keys(digests)))


def _unmatched(mine: Sequence[_Image], theirs: Sequence[_Image]) -> tuple[list[int], list[int]]:
    """Return which of mine they lack, and which of theirs I lack; equal ones are counted.

    Of equal images those of one name belong together.
    """
    left: dict[tuple[bytes, int], dict[int, str]] = {}
    for number, image in enumerate(theirs):
        left.setdefault(image[:2], {})[number] = image.name
    mine_left: list[int] = []
    for number, image in enumerate(mine):
        those = left.get(image[:2], {})
        same = next((n for n, name in those.items() if name == image.name), None)
        if same is None:
            mine_left.append(number)
        else:
            those.pop(same)
    lost = []
    for number in mine_left:
        those = left.get(mine[number][:2], {})
        if those:
            those.pop(next(iter(those)))
        else:
            lost.append(number)
    return lost, sorted(number for those in left.values() for number in those)


def _agree(again: Dataset, dataset: Dataset, order: Indices) -> bool:
    """Tell whether splits that the data have of their own are those recorded.

    A run may hold out its validation images of the data's training images.
    """
    if not dataset.splits:
        return True
    own = np.full(len(order), _IN_NO_SPLIT, np.int64)
    for name, indices in dataset.splits.items():
        own[indices] = SPLIT_NAMES.index(name)
    own = own[order]
    allowed: dict[SplitName, tuple[SplitName, ...]] = {
        "train": ("train",),
        "val": ("val", "train"),
        "test": ("test",),
    }
    return all(
        np.isin(own[indices], [SPLIT_NAMES.index(name) for name in allowed[split]]).all()
        for split, indices in again.splits.items()
    )
