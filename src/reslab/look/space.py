"""The test images as points: maps by principal components and t-SNE."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reslab.analyze.embedding import feature_vectors, principal_components, t_sne
from reslab.charts.figure import Block, Card, CustomSvg, Figure, Gallery
from reslab.charts.scatter import class_color, placed, scatter
from reslab.data.arrays import Pixels
from reslab.display import wording
from reslab.display.theme import rgb
from reslab.look.model_and_images import ModelAndImages
from reslab.look.pictures import enlarged, pixels_of

_CELLS = 18
_THUMBNAIL = 40


def space_figures(subject: ModelAndImages) -> list[Figure]:
    """Draw the vectors before the classifier by t-SNE, as dots and as thumbnails, and by PCA."""
    assert subject.sample is not None
    if len(subject.sample) < 4:
        return []
    sample, model = subject.sample, subject.model
    vectors = feature_vectors(model.network, sample.images)
    components = principal_components(vectors)
    neighbours = t_sne(vectors, seed=subject.seed)
    labels = sample.labels.numpy()
    count = f"{len(sample):,} images ({sample.split})"
    share = wording.percent(100 * float(components.shares.sum()))
    numbers = {
        "images": sample.numbers.tolist(),
        "labels": [model.classes[k] for k in labels.tolist()],
    }
    return [
        Figure(
            name="t-sne",
            title="Which images are alike to it",
            caption=(
                f"The vectors before the classifier of {count}, placed by t-SNE so that "
                "neighbours stay neighbours; distances between clusters mean little. Dots of one "
                "colour among others are images that the network finds hard."
            ),
            body=CustomSvg(scatter(neighbours, labels, model.classes, to_scale=False)),
            source="van der Maaten and Hinton 2008",
            data={**numbers, "points": np.round(neighbours, 4).tolist()},
        ),
        Figure(
            name="t-sne-thumbnails",
            title="The same map in pictures",
            caption="In every cell of a grid the image nearest to its middle, framed by its class.",
            body=Gallery(
                [Card([Block("", [_mosaic(subject, neighbours)], 1, "thumbnails of the map")])],
                width=430,
            ),
        ),
        Figure(
            name="pca",
            title="Two principal components",
            caption=(
                f"The same vectors along the two directions of largest variance, which hold "
                f"{share}% of it. Unlike t-SNE, this map is linear: distances are true to scale."
            ),
            body=CustomSvg(scatter(components.points, labels, model.classes, to_scale=True)),
            data={
                **numbers,
                "points": np.round(components.points, 5).tolist(),
                "shares": components.shares.tolist(),
            },
        ),
    ]


def _mosaic(subject: ModelAndImages, points: npt.NDArray[np.float64]) -> Pixels:
    assert subject.sample is not None
    places = placed(points, _CELLS, 0.5, to_scale=False)
    chosen: dict[tuple[int, int], tuple[float, int]] = {}
    for number, (x, y) in enumerate(places.tolist()):
        cell = (min(int(y), _CELLS - 1), min(int(x), _CELLS - 1))
        distance = float(np.hypot(y - cell[0] - 0.5, x - cell[1] - 0.5))
        chosen[cell] = min(chosen.get(cell, (distance, number)), (distance, number))
    step = _THUMBNAIL + 2
    sheet = np.zeros((_CELLS * step, _CELLS * step, 4), dtype=np.uint8)  # clear between them
    labels, classes = subject.sample.labels, subject.model.classes
    numbers = [number for _, number in chosen.values()]
    pictures = pixels_of(subject.sample.images[numbers], subject.model.preprocess)
    for (row, column), number, pixels in zip(chosen, numbers, pictures, strict=True):
        color = class_color(int(labels[number]), len(classes))
        top, left = row * step + 1, column * step + 1
        frame = [*rgb(color), 255]
        sheet[top : top + _THUMBNAIL, left : left + _THUMBNAIL] = frame
        inner = enlarged(pixels, _THUMBNAIL - 6)
        h, w = inner.shape[:2]
        sheet[top + 3 : top + 3 + h, left + 3 : left + 3 + w, :3] = inner
    return sheet
