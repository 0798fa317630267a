"""Points by class: a map of images, with each class named where its points are densest."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from reslab.data.arrays import Indices
from reslab.display import wording
from reslab.display.names import shown
from reslab.display.theme import CLASSES

Floats = npt.NDArray[np.float64]
SIDE = 520
_MARGIN = 26
_NAMES = 24
_LETTER, _TEXT = 8.0, 17.0  # width and height of a letter of a name


def class_color(number: int, count: int) -> str:
    """Return the color of a class as #rrggbb."""
    if count <= len(CLASSES):
        return CLASSES[number]
    light = (0.42, 0.55, 0.66)[number % 3]
    red, green, blue = colorsys.hls_to_rgb(number / count, light, 0.62)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


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
    scaled[:, 1] = side - scaled[:, 1]  # SVG counts downwards
    return np.asarray(scaled, dtype=np.float64)


def scatter(points: Floats, labels: Indices, classes: Sequence[str], *, to_scale: bool) -> Markup:
    """Draw points colored by class, each class named where its points are densest."""
    places = placed(points, SIDE, _MARGIN, to_scale=to_scale)
    parts = []
    present = np.unique(labels)
    for number in present.tolist():
        own = places[labels == number]
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in own)
        color = class_color(number, len(classes))
        parts.append(f'<g fill="{color}" fill-opacity=".8">{dots}</g>')
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
