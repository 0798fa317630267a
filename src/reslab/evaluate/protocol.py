"""What a model is measured on: which images, under which label numbers, seen before or not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from reslab import artifact as artifacts
from reslab.artifact import Artifact
from reslab.data.arrays import Indices
from reslab.data.dataset import Dataset, SplitName
from reslab.data.names import shown
from reslab.data.split import splits_from_json
from reslab.errors import DataError, ReslabError, nearest

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


def choose_split(dataset: Dataset, wanted: SplitName | None) -> tuple[str, Indices]:
    """Return the name and the images to measure on: test, else val, else everything.

    Raises:
        DataError: the split that was asked for is not there.
    """
    if wanted is not None:
        return wanted, dataset.split(wanted)
    for name in ("test", "val"):
        if name in dataset.splits:
            return name, dataset.splits[name]
    return "all images", np.arange(len(dataset.labels), dtype=np.int64)


def seen_in_training(
    dataset: Dataset, samples: Indices, model_path: Path, model: Artifact
) -> int | None:
    """Count the samples that the model was trained on.

    Returns:
        None where the data are those it was trained on but nothing says which part; 0 where
        they are other data.
    """
    if not _same_data(dataset, model):
        return 0
    own = _recorded(dataset, model_path, model) or dataset
    if "train" not in own.splits:
        return None
    return int(np.isin(samples, own.splits["train"]).sum())


def _recorded(dataset: Dataset, model_path: Path, model: Artifact) -> Dataset | None:
    path = artifacts.find(model_path).parent / SPLIT_RECORD
    if not path.is_file() or not _same_data(dataset, model):
        return None
    try:
        value = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
        return splits_from_json(dataset, value)
    except (OSError, ValueError, ReslabError):
        return None


def _same_data(dataset: Dataset, model: Artifact) -> bool:
    trained_on = model.provenance.get("dataset")
    fingerprint = trained_on.get("fingerprint") if isinstance(trained_on, dict) else None
    return bool(fingerprint) and fingerprint == dataset.fingerprint()
