"""What a model is measured on: which images, under which label numbers, seen before or not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reslab import artifact as artifacts
from reslab.artifact import Artifact
from reslab.data.arrays import Indices
from reslab.data.dataset import SPLIT_NAMES, Dataset, FileImages, SplitName
from reslab.data.names import shown
from reslab.data.split import image_keys, splits_from_json
from reslab.errors import DataError, nearest

SPLIT_RECORD = "split.json"


def match_classes(dataset: Dataset, classes: tuple[str, ...]) -> Indices:
    """Return the model's class number of every image of a data set, matched by name.

    Args:
        dataset: may lack some of the model's classes.
        classes: the model's, in the order of its logits.

    Raises:
        DataError: a class that occurs in the data is unknown to the model.
    """
    number = {name: index for index, name in enumerate(classes)}
    present = np.bincount(dataset.labels, minlength=len(dataset.classes))
    strange = [
        name for name, n in zip(dataset.classes, present, strict=True) if n and name not in number
    ]
    if strange:
        few = ", ".join(f"'{shown(name)}'" for name in strange[:3])
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise DataError(
            f"the model has never heard of class {few}{more} (it knows {len(classes)} classes)",
            remedy=nearest(strange[0], classes) or "take those images out, or rename their class",
        )
    return np.array([number.get(name, -1) for name in dataset.classes], np.int64)[dataset.labels]


def with_recorded_splits(dataset: Dataset, model_path: Path, model: Artifact) -> Dataset:
    """Give data the splits of the run that trained on these very images, if it is one.

    Otherwise evaluating on the flat folder that one trained on would measure training images,
    and the validation images that the run held out could not be asked for.
    """
    return _recorded(dataset, model_path, model) or dataset


def with_splits_by_name(dataset: Dataset, model_path: Path, model: Artifact) -> Dataset:
    """Do the same for data that have changed since, or were copied: there, files go by their names.

    A file that the run did not know is for the test, so that the test holds no image with the name
    of one that was trained on; `Dataset.note` says so. Data with a test or validation split of
    their own keep it.
    """
    again = _recorded(dataset, model_path, model)
    if again is not None or dataset.splits.keys() & {"test", "val"}:
        return again or dataset
    then, keys = _split_of_names(dataset, model_path)
    known = sum(key in then for key in keys)
    if not known:
        return dataset
    places = np.array([then.get(key, "test") for key in keys])
    splits = {name: np.flatnonzero(places == name) for name in SPLIT_NAMES if name in places}
    others = "; the others are for the test" if known < len(keys) else ""
    note = (
        f"by their names, {known:,} of these {len(keys):,} images are those of {model_path} and "
        f"split as then{others} (--split all measures all)"
    )
    return dataclasses.replace(dataset, splits=splits, note=note)


def choose_split(
    dataset: Dataset, wanted: SplitName | Literal["all"] | None
) -> tuple[str, Indices]:
    """Return the name and the images to measure on: test, else val, else everything.

    Raises:
        DataError: the split that was asked for is not there.
    """
    if wanted is None:
        wanted = "test" if "test" in dataset.splits else "val" if "val" in dataset.splits else "all"
    if wanted == "all":
        return "all images", np.arange(len(dataset.labels), dtype=np.int64)
    return wanted, dataset.split(wanted)


@dataclasses.dataclass(frozen=True)
class Seen:
    """How many of some images a model was trained on.

    Args:
        count: None where they are of the data it was trained on but nothing says which part.
        by_name: the data are others, or have changed since; so many files have the names of files
            that it was trained on.
    """

    count: int | None
    by_name: bool = False


def seen_in_training(dataset: Dataset, samples: Indices, model_path: Path, model: Artifact) -> Seen:
    """Count the samples that the model was trained on."""
    if not _same_data(dataset, model):
        then, keys = _split_of_names(dataset, model_path)
        count = sum(then.get(keys[index]) == "train" for index in samples.tolist()) if then else 0
        return Seen(count, by_name=True)
    own = _recorded(dataset, model_path, model) or dataset
    if "train" not in own.splits:
        return Seen(None)
    return Seen(int(np.isin(samples, own.splits["train"]).sum()))


def _recorded(dataset: Dataset, model_path: Path, model: Artifact) -> Dataset | None:
    record = _record(model_path)
    if not record or not _same_data(dataset, model):
        return None
    try:
        return splits_from_json(dataset, record)
    except DataError:
        return None


def _split_of_names(
    dataset: Dataset, model_path: Path
) -> tuple[Mapping[str, SplitName], Sequence[str]]:
    """Return the split of every file that a run knew, and the names of the files of a data set.

    Both are empty for images that are not files: what they are called are mere numbers.
    """
    if not isinstance(dataset.images, FileImages):
        return {}, ()
    record = _record(model_path)
    then = {
        key: name for name in SPLIT_NAMES for keys in record.get(name, {}).values() for key in keys
    }
    return then, image_keys(dataset)


def _record(model_path: Path) -> Mapping[str, Any]:
    """Read what a run recorded of its splits; empty where there is no record to be read."""
    path = artifacts.find(model_path).parent / SPLIT_RECORD
    try:
        record: Mapping[str, Any] = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
    except (OSError, ValueError):
        return {}
    return record


def _same_data(dataset: Dataset, model: Artifact) -> bool:
    trained_on = model.provenance.get("dataset")
    fingerprint = trained_on.get("fingerprint") if isinstance(trained_on, dict) else None
    return bool(fingerprint) and fingerprint == dataset.fingerprint()
