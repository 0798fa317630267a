"""How a run's images become the input of its network: their size, mean and deviation."""

from __future__ import annotations

import dataclasses

from reslab.data.dataset import Dataset
from reslab.data.decode import FULL_BIT_DEPTH
from reslab.data.image_cache import FittedImages, statistics
from reslab.data.preprocess import Preprocess
from reslab.errors import UsageError
from reslab.training.config import Request
from reslab.training.recipe import Recipe
from reslab.training.source import load_source

LARGE_INPUT = 160
RESIZE_MARGIN = 256 / 224


def geometry(recipe: Recipe, in_chans: int) -> Preprocess:
    """Return how images are fitted, before the data's mean and deviation are known.

    Large inputs are cut from a slightly larger square, as ImageNet's evaluation does; small
    ones keep every pixel.
    """
    img_size = recipe.img_size
    margin = RESIZE_MARGIN if img_size >= LARGE_INPUT and recipe.resize == "crop" else 1.0
    return Preprocess(
        img_size=img_size,
        resize_size=round(img_size * margin),
        in_chans=in_chans,
        resize=recipe.resize,
        mean=(0.5,) * in_chans,
        std=(0.5,) * in_chans,
        bit_depth=recipe.bit_depth or FULL_BIT_DEPTH,
    )


def planned_preprocess(request: Request, recipe: Recipe, in_chans: int) -> Preprocess:
    """Return how images become input, as far as it does not follow from the data.

    Of a mean image that the source has, the mean of each channel is kept.

    Raises:
        UsageError: the normalization is that of a model to start from, and there is none.
    """
    planned = geometry(recipe, in_chans)
    if recipe.normalization != "start":
        return planned
    source = load_source(request)
    if source is None:
        raise UsageError(
            "normalization 'start' is that of the model that a run starts from",
            remedy="add --start MODEL, or take channel or pixel-mean",
        )
    known = source.preprocess
    mean = known.mean
    if known.mean_image is not None:
        mean = tuple(float(value) for value in known.mean_image.mean(axis=(0, 1)))
    return dataclasses.replace(planned, mean=mean, std=known.std)


def with_statistics(
    preprocess: Preprocess, recipe: Recipe, dataset: Dataset, fitted: FittedImages
) -> Preprocess:
    """Measure mean and deviation over the training split and put them in, if they are to follow it.

    The paper's per-pixel mean is subtracted without dividing by a deviation (the pixels are
    then in [-1, 1] instead of [-255, 255]).
    """
    if recipe.normalization == "start":
        return preprocess
    measured = statistics(fitted, dataset.split("train"))
    if recipe.normalization == "pixel-mean":
        ones = (1.0,) * preprocess.in_chans
        return dataclasses.replace(
            preprocess, mean=measured.mean, std=ones, mean_image=measured.mean_image
        )
    return dataclasses.replace(preprocess, mean=measured.mean, std=measured.std)
