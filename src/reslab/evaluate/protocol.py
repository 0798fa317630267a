"""What a model is measured on: which images, under which label numbers, seen before or not."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from reslab import artifact as artifacts
from reslab.artifact import Artifact
from reslab.data.arrays import Indices
from reslab.data.dataset import SPLIT_NAMES, Dataset, FileImages, SplitName
from reslab.data.open import located
from reslab.data.split import image_keys, splits_from_json
from reslab.display.names import shown
from reslab.errors import DataError, nearest
from reslab.runs import files


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
    """Give data the numbers and splits of the run that trained on these very images, if it is one.

    Otherwise evaluating on the flat folder that one trained on would measure training images,
    and the validation images that the run held out could not be asked for.
    """
    return _recorded(dataset, model_path, model) or dataset


def without_seen(dataset: Dataset, model_path: Path, model: Artifact) -> Dataset:
    """Do the same for data that hold some of those images, wherever they lie, under any name.

    An image that the run did not know is for the test, so that the test holds no image that was
    trained on; `Dataset.note` says so. Data with a test or validation split of their own keep it.
    """
    again = _recorded(dataset, model_path, model)
    if again is not None or dataset.splits.keys() & {"test", "val"}:
        return again or dataset
    places, how = _known(dataset, model_path, model)
    known = 0 if places is None else int((places >= 0).sum())
    if places is None or not known:
        return dataset
    places = np.where(places < 0, SPLIT_NAMES.index("test"), places)
    splits = {
        name: np.flatnonzero(places == number)
        for number, name in enumerate(SPLIT_NAMES)
        if (places == number).any()
    }
    others = "; the others are for the test" if known < len(places) else ""
    note = (
        f"{known:,} of these {len(places):,} images are those of {model_path}{how} and are split "
        f"as then{others} (--split all measures all)"
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
        count: None where that cannot be known.
        same_data: they are of the very data it was trained on.
    """

    count: int | None
    same_data: bool = False


def seen_in_training(dataset: Dataset, samples: Indices, model_path: Path, model: Artifact) -> Seen:
    """Count the samples that the model, or one that it started from, was trained on."""
    if model.images is not None:
        places = model.images.split_of(dataset.images.digests()[samples])
        return Seen(int((places == SPLIT_NAMES.index("train")).sum()))
    if _fingerprint(model) is None:  # of another program, or trained on nothing yet
        return Seen(0)
    if not _same_data(dataset, model):
        known, _ = _known(dataset, model_path, model)
        train = SPLIT_NAMES.index("train")
        return Seen(None if known is None else int((known[samples] == train).sum()))
    own = _recorded(dataset, model_path, model) or dataset
    if "train" not in own.splits:
        return Seen(None, same_data=True)
    return Seen(int(np.isin(samples, own.splits["train"]).sum()), same_data=True)


def data_places(model_path: Path, model: Artifact) -> tuple[str, ...]:
    """Return where the data may be that a model was trained on, the likeliest place first."""
    run = _run_config(model_path)
    places = (run.get("location"), run.get("data"), model.provenance.get("data"))
    return tuple(dict.fromkeys(str(place) for place in places if place))


def _recorded(dataset: Dataset, model_path: Path, model: Artifact) -> Dataset | None:
    if model.images is not None:
        return model.images.put_back(dataset, model.classes)
    record = _record(model_path)
    if not record or not _same_data(dataset, model):
        return None
    try:
        return splits_from_json(dataset, record)
    except DataError:
        return None


def _known(
    dataset: Dataset, model_path: Path, model: Artifact
) -> tuple[npt.NDArray[np.int64] | None, str]:
    """Return each image's place in SPLIT_NAMES in the run, -1 for others, and how it is known.

    Models of older versions do not record their images. Where the data are the very folder that
    the run was made on, its files are known by their names; elsewhere names say nothing.
    """
    if model.images is not None:
        return model.images.split_of(dataset.images.digests()), ""
    then = {
        key: number
        for number, name in enumerate(SPLIT_NAMES)
        for listed in _record(model_path).get(name, {}).values()
        for key in listed
    }
    if not then or not _is_folder_of_run(dataset, model_path, model):
        return None, ""
    return np.array([then.get(key, -1) for key in image_keys(dataset)]), " by their names"


def _is_folder_of_run(dataset: Dataset, model_path: Path, model: Artifact) -> bool:
    if not isinstance(dataset.images, FileImages):
        return False
    root = dataset.images.root
    for place in data_places(model_path, model):
        path = Path(located(place))
        for folder in (path, path.parent):  # of a CSV file, the folder that it is in
            if folder.is_dir() and root.is_dir() and os.path.samefile(folder, root):
                return folder == path or path.is_file()
    return False


def _run_config(model_path: Path) -> Mapping[str, Any]:
    """Read the configuration of the run that a model lies in; empty where there is none."""
    return files.read_object(artifacts.find(model_path).parent, files.CONFIG)


def _record(model_path: Path) -> Mapping[str, Any]:
    """Read what a run recorded of its splits; empty where there is no record to be read."""
    return files.read_object(artifacts.find(model_path).parent, files.SPLIT)


def _same_data(dataset: Dataset, model: Artifact) -> bool:
    recorded = _fingerprint(model)
    return recorded is not None and dataset.has_fingerprint(recorded)


def _fingerprint(model: Artifact) -> str | None:
    trained_on = model.provenance.get("dataset")
    found = trained_on.get("fingerprint") if isinstance(trained_on, dict) else None
    return str(found) if found else None
