"""Images of a run's own data, as its network sees them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reslab.artifact import Artifact
from reslab.data.arrays import Indices
from reslab.data.collect import recorded_options
from reslab.data.dataset import SplitName
from reslab.data.image_cache import ImageStream
from reslab.data.loader import eval_batches
from reslab.data.open import first_there, open_dataset
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.evaluate import protocol

READ_AT_ONCE = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Some images of a data set.

    Args:
        images: network input, float32 (N, in_chans, img_size, img_size).
        labels: int64 (N,), in the order of the model's classes.
        numbers: int64 (N,), the images' numbers in the data set.
        data: the data set's name.
        split: which part of it: "test", "val", "train" or "all images".
    """

    images: Tensor
    labels: Tensor
    numbers: Indices
    data: str
    split: str

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.labels)


def open_sample(
    model: Artifact,
    path: Path | str,
    data: str | None = None,
    *,
    split: SplitName | None = None,
    count: int | None = 1000,
    seed: int = 0,
) -> Sample:
    """Read images for a trained model, preprocessed as it wants them.

    Args:
        model: as `artifact.load` read it.
        path: where from: with a run directory, the splits are those of the run.
        data: the images, as for `reslab train`; None for those it was trained on.
        split: which part; None for the test, else the validation, else all images.
        count: how many, drawn without regard to class and kept in order; None for all.
        seed: of the draw. Equal seeds draw equal images from equal data.

    Raises:
        DataError: the data cannot be read or have classes that the model does not know.
        UsageError: the model does not say what it was trained on, or there is no such split.
    """
    places = protocol.data_places(Path(path), model) if data is None else (data,)
    if not places:
        raise UsageError(
            f"{path} does not say what it was trained on", remedy="name the data to look at"
        )
    place = first_there(places)
    options = recorded_options(place, model.provenance)
    dataset = open_dataset(place, options=options, need_train=False)
    dataset = protocol.without_seen(dataset, Path(path), model)
    name, samples = protocol.choose_split(dataset, split)
    if count is not None and count < len(samples):
        draw = np.random.default_rng(seed).choice(len(samples), max(1, count), replace=False)
        samples = samples[np.sort(draw)]
    labels = protocol.match_classes(dataset, model.classes)[samples]
    fitted = ImageStream(dataset.images, model.preprocess)
    parts = [images for images, _ in eval_batches(fitted, samples, model.preprocess, READ_AT_ONCE)]
    return Sample(
        images=torch.cat(parts),
        labels=torch.from_numpy(labels.astype(np.int64)),
        numbers=samples,
        data=dataset.name,
        split=name,
    )
