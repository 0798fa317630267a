"""What the network saw: random views of training images, the very ones of this run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reslab.charts.pixels import picture_uri
from reslab.data.dataset import Dataset
from reslab.report.setup import early_part

if TYPE_CHECKING:
    import torch

    from reslab.data.augment import Augment
    from reslab.data.preprocess import Preprocess
    from reslab.data.sampler import SampleRng


@dataclasses.dataclass(frozen=True)
class Views:
    """One training image and its random views.

    Args:
        name: class of the image.
        original: data URI of the image as the network would get it without augmentation.
        views: data URIs, one an epoch from the first on.
        pixelated: show pixels as squares.
    """

    name: str
    original: str
    views: Sequence[str]
    pixelated: bool


def augmented_views(
    dataset: Dataset,
    recipe: Mapping[str, Any],
    preprocess: Mapping[str, Any],
    seed: int,
    *,
    images: int = 5,
    epochs: int = 6,
) -> list[Views]:
    """Draw the views that the first epochs of this run took of a few images.

    They have the recipe's size, though the run may have begun with smaller ones.

    Raises:
        ReslabError: an image cannot be read.
        KeyError, TypeError, ValueError: the run's settings are not those of this version.
    """
    import torch

    from reslab.data.augment import Augment
    from reslab.data.preprocess import Preprocess
    from reslab.data.sampler import SampleRng

    fields = dict(recipe["augment"])
    for name in ("crop_scale", "crop_ratio"):
        fields[name] = tuple(fields[name]) if fields[name] is not None else None
    augment = Augment(**fields)
    # Whatever is subtracted is added again for the picture, so the plain mean will do.
    plain = Preprocess.from_json({**preprocess, "mean_image": False})
    samples = _one_of_each_class(dataset, images)
    if not len(samples):
        return []
    numbers = torch.from_numpy(np.repeat(samples, epochs))
    visits = torch.arange(epochs).repeat(len(samples))
    seen = _look(dataset, SampleRng(seed, visits, numbers), augment, plain)
    plainly = _look(
        dataset,
        SampleRng(seed, visits[: len(samples)], torch.from_numpy(samples)),
        Augment(),
        plain,
    )
    rows = []
    for k, sample in enumerate(samples.tolist()):
        uri, pixelated = picture_uri(plainly[k])
        views = [picture_uri(seen[k * epochs + e])[0] for e in range(epochs)]
        rows.append(Views(dataset.classes[dataset.labels[sample]], uri, views, pixelated))
    return rows


def early_sentence(recipe: Mapping[str, Any]) -> str:
    """Say when the run scaled its views down, or nothing where it never did."""
    if not recipe.get("progressive_share"):
        return ""
    size = recipe["progressive_size"]
    return f" For {early_part(recipe)} of the run they were then scaled to {size} px."


def _one_of_each_class(dataset: Dataset, most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    train = dataset.splits.get("train", np.arange(0))
    _, first = np.unique(dataset.labels[train], return_index=True)
    spread = np.linspace(0, len(first) - 1, min(most, len(first))).round().astype(int)
    return train[first[spread]] if len(first) else train[:0]


def _look(
    dataset: Dataset, rng: SampleRng, augment: Augment, preprocess: Preprocess
) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Return uint8 pictures of random views, mixed where the run mixed."""
    import torch

    from reslab.data.transforms import mix, mixes, partners, random_view

    def views(of: SampleRng) -> torch.Tensor:
        return random_view(_batch(dataset, of.samples, preprocess), of, augment, preprocess)

    images = views(rng)
    if mixes(augment):
        train = torch.from_numpy(np.ascontiguousarray(dataset.splits["train"]))
        other = dataclasses.replace(rng, samples=partners(rng, train))
        images, _ = mix(images, views(other), rng, augment)
    scale = torch.tensor(preprocess.std).view(1, -1, 1, 1) * 255
    shift = torch.tensor(preprocess.mean).view(1, -1, 1, 1) * 255
    pixels = (images * scale + shift).round().clamp(0, 255).to(torch.uint8)
    shown: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
    for one in pixels.permute(0, 2, 3, 1).contiguous().numpy():
        shown.append(one[..., 0] if one.shape[-1] == 1 else one)
    return shown


def _batch(dataset: Dataset, samples: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    import torch

    from reslab.data.preprocess import fit_image

    fitted = {int(s): fit_image(dataset.images, int(s), preprocess) for s in samples.unique()}
    return torch.from_numpy(np.stack([fitted[int(s)] for s in samples]))
