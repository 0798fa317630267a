"""What is looked at: a model, and images as it sees them where there are any."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from reslab import artifact
from reslab.analyze.sample import Sample, open_sample
from reslab.artifact import Artifact
from reslab.data.arrays import Pixels
from reslab.errors import DataError, MachineError, UsageError
from reslab.look.pictures import pixels_of
from reslab.runs.files import is_run


@dataclasses.dataclass(frozen=True, eq=False)
class ModelAndImages:
    """A model with images.

    Args:
        name: of the run or folder.
        model: the trained network and all that belongs to it.
        sample: images and labels; None where there are none.
        missing: why there are no images, as a sentence, or empty.
        shown: places in the sample of the few images that are drawn one by one.
        seed: of every draw.
        run: folder of the run that the model comes from; None where it comes from none.
    """

    name: str
    model: Artifact
    sample: Sample | None
    missing: str
    shown: tuple[int, ...]
    seed: int
    run: Path | None = None

    @property
    def images(self) -> torch.Tensor:
        """The images that are drawn one by one, normalised."""
        assert self.sample is not None
        return self.sample.images[list(self.shown)]

    def pictures(self) -> list[Pixels]:
        """Return the same images as pixels, (H, W, 3) each."""
        return pixels_of(self.images, self.model.preprocess)


def open_model_and_images(
    path: Path | str, data: str | None = None, *, count: int = 1000, images: int = 6, seed: int = 0
) -> ModelAndImages:
    """Read a model and, where they can be found, images.

    Args:
        path: a run, or a model folder.
        data: the images; None for those the model was trained on, if they are still there.
        count: how many images are measured, drawn by `seed`.
        images: how many of them are drawn one by one, of as many classes as there are.
        seed: of the draw.

    Raises:
        CheckpointError: the path leads to no model.
        DataError: the data that were named cannot be read.
    """
    if images < 1 or count < 1:
        raise UsageError(f"images and count must be 1 or more, received {images} and {count}")
    model = artifact.load(path)
    sample, missing = None, ""
    try:
        sample = open_sample(model, path, data, count=max(count, images), seed=seed)
    except (DataError, MachineError, UsageError) as error:
        if data is not None:
            raise
        missing = f"What needs images is left out: {error}."
    shown = () if sample is None else spread(sample.labels.numpy(), images, seed)
    name = Path(path).resolve().name
    return ModelAndImages(name, model, sample, missing, shown, seed, run_of(path))


def run_of(path: Path | str) -> Path | None:
    """Return the folder of the run that a model lies in, or None for a model without a run."""
    folder = artifact.find(Path(path)).parent
    return folder if is_run(folder) else None


def spread(
    labels: np.ndarray[tuple[int], np.dtype[np.int64]], count: int, seed: int
) -> tuple[int, ...]:
    """Choose places by a draw that goes round the classes: no class twice before all had one."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    turn: dict[int, int] = {}
    rounds = []
    for place in order.tolist():
        label = int(labels[place])
        rounds.append((turn.get(label, 0), place))
        turn[label] = turn.get(label, 0) + 1
    chosen = [place for _, place in sorted(rounds, key=lambda one: one[0])[:count]]
    return tuple(sorted(chosen, key=lambda place: (int(labels[place]), place)))
