"""The test images as points: maps by principal components and t-SNE."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from reslab.analyze.embedding import feature_vectors, principal_components, t_sne
from reslab.data.arrays import Indices, Pixels
from reslab.display import wording
from reslab.display.names import shown
from reslab.look.figure import Block, Card, Drawing, Figure, Gallery
from reslab.look.pictures import enlarged, pixels_of
from reslab.look.subject import Subject

Floats = npt.NDArray[np.float64]
SIDE = 520
_MARGIN = 26
_CELLS = 18
_THUMBNAIL = 40
_NAMES = 24
_LETTER, _TEXT = 8.0, 17.0  # width and height of a letter of a name
# Ten hues that stay apart for the colour-blind as far as ten can (after Okabe and Ito 2008).
HUES = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9",
    "#d55e00", "#8a7f00", "#7b5fc4", "#8c564b", "#7f8c98",
)  # fmt: skip


def hue(number: int, count: int) -> str:
    """Return the colour of a class as #rrggbb."""
    if count <= len(HUES):
        return HUES[number]
    light = (0.42, 0.55, 0.66)[number % 3]
    red, green, blue = colorsys.hls_to_rgb(number / count, light, 0.62)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def space_figures(subject: Subject) -> list[Figure]:
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
            body=Drawing(scatter(neighbours, labels, model.classes, to_scale=False)),
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
            body=Drawing(scatter(components.points, labels, model.classes, to_scale=True)),
            data={
                **numbers,
                "points": np.round(components.points, 5).tolist(),
                "shares": components.shares.tolist(),
            },
        ),
    ]


def placed(points: Floats, side: float, margin: float, *, to_scale: bool) -> Floats:
    """Bring points into a square, (N, 2) in drawing units.

    Args:
        points: (N, 2).
        side: of the square.
        margin: left free on each side.
        to_scale: one scale for both axes, for maps whose distances mean something.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum((high - low).max() if to_scale else high - low, 1e-12)
    scaled = (points - (low + high) / 2) / span * (side - 2 * margin) + side / 2
    scaled[:, 1] = side - scaled[:, 1]
    return np.asarray(scaled, dtype=np.float64)


def scatter(points: Floats, labels: Indices, classes: Sequence[str], *, to_scale: bool) -> Markup:
    """Draw points coloured by class, each class named where its points are densest."""
    places = placed(points, SIDE, _MARGIN, to_scale=to_scale)
    parts = []
    present = np.unique(labels)
    for number in present.tolist():
        own = places[labels == number]
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in own)
        colour = hue(number, len(classes))
        parts.append(f'<g fill="{colour}" fill-opacity=".8">{dots}</g>')
    if len(present) <= _NAMES:
        anchors = [places[labels == k][_densest(places[labels == k])] for k in present]
        names = [wording.shortened(classes[k], 18) for k in present]
        for name, (x, y) in zip(names, apart(anchors, names), strict=True):
            text = escape(shown(name))
            parts.append(f'<text class="place" x="{x:.0f}" y="{y:.0f}">{text}</text>')
    words = f"{len(points)} images of {len(present)} classes as dots"
    return Markup(
        f'<svg class="plot space" viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{words}">'
        f"{''.join(parts)}</svg>"
    )


def apart(anchors: Sequence[Floats], names: Sequence[str]) -> list[tuple[float, float]]:
    """Move names up or down until none covers another, those higher up first."""
    taken: list[tuple[float, float, float]] = []
    found = [(0.0, 0.0)] * len(names)
    for i in sorted(range(len(names)), key=lambda i: float(anchors[i][1])):
        half = _LETTER * len(names[i]) / 2
        x = min(max(float(anchors[i][0]), half), SIDE - half)
        y = float(anchors[i][1])
        for other_x, other_y, other_half in sorted(taken, key=lambda one: one[1]):
            if abs(x - other_x) < half + other_half and abs(y - other_y) < _TEXT:
                y = other_y + _TEXT
        taken.append((x, y, half))
        found[i] = (x, y)
    return found


def _densest(places: Floats) -> int:
    """Return the point whose tenth of nearest fellows is nearest."""
    distances = np.sort(np.linalg.norm(places[:, None] - places[None], axis=2), axis=1)
    return int(distances[:, min(len(places) - 1, max(1, len(places) // 4))].argmin())


def _mosaic(subject: Subject, points: Floats) -> Pixels:
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
        colour = hue(int(labels[number]), len(classes))
        top, left = row * step + 1, column * step + 1
        frame = [*(int(colour[i : i + 2], 16) for i in (1, 3, 5)), 255]
        sheet[top : top + _THUMBNAIL, left : left + _THUMBNAIL] = frame
        inner = enlarged(pixels, _THUMBNAIL - 6)
        h, w = inner.shape[:2]
        sheet[top + 3 : top + 3 + h, left + 3 : left + 3 + w, :3] = inner
    return sheet
