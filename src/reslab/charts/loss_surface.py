"""Loss surfaces side by side: shaded relief above, contours below, one scale for all.

Plain SVG from NumPy arrays. Its letters and lines follow the reader's light or dark setting, so
that one file serves pages, READMEs and slides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from reslab.charts.axis import log_ticks
from reslab.charts.colormap import hexadecimal
from reslab.charts.contours import contours
from reslab.display import wording
from reslab.display.names import shown
from reslab.display.theme import LIGHT, following

Floats = npt.NDArray[np.float64]
PANEL, GAP = 440, 36
_RELIEF, _MAP = 380, 250
_TOP, _BAR = 44, 320
_CELLS, _MAP_CELLS = 52, 100
_TURN, _TILT = math.radians(38), math.radians(36)
_LIGHT = np.array([-0.45, -0.35, 0.82])
_HEIGHT = 1.15  # of the box whose sides are 2
_RULES = """
.surface text { font-family: var(--font); fill: var(--ink); }
.surface .soft { fill: var(--soft); }
.surface .hair { stroke: var(--rule); fill: none; }
"""


def surface_figure(
    surfaces: Sequence[Floats], labels: Sequence[str], *, extent: float = 1.0
) -> Markup:
    """Draw the loss around trained networks: height and color are log(loss), on one scale.

    Args:
        surfaces: one square array of losses a network, positive; row and column are the steps
            along the two directions. Values that are not finite count as the largest there is.
        labels: one a network, written above it.
        extent: the steps go from -extent to extent.

    Returns:
        One `<svg>` element with its own style.

    Source: Li et al. 2018, Visualizing the Loss Landscape of Neural Nets (arXiv 1712.09913),
    figure 1 (relief) and figure 5 (contours).
    """
    assert len(surfaces) == len(labels) > 0, (len(surfaces), len(labels))
    logs = [_logarithm(surface) for surface in surfaces]
    low, high = min(float(z.min()) for z in logs), max(float(z.max()) for z in logs)
    high = max(high, low + 1e-9)
    unit = [(z - low) / (high - low) for z in logs]
    width = len(unit) * PANEL + (len(unit) - 1) * GAP
    levels = np.linspace(0, 1, 13)[1:-1]
    parts = []
    for i, (z, label) in enumerate(zip(unit, labels, strict=True)):
        left = i * (PANEL + GAP)
        parts.append(
            f'<text x="{left + PANEL / 2}" y="26" text-anchor="middle" font-size="20" '
            f'font-weight="600">{escape(shown(label))}</text>'
        )
        parts.append(_relief(z, left, _TOP))
        parts.append(
            _contour_map(z, left + (PANEL - _MAP) / 2, _TOP + _RELIEF + 18, levels, extent)
        )
    bar = _TOP + _RELIEF + _MAP + 66
    parts.append(_scale_bar(low, high, width / 2 - _BAR / 2, bar))
    height = bar + 46
    words = escape(shown("Loss surfaces: " + ", ".join(labels)))
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="surface" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{words}">'
        f"<style>{following(_RULES)}</style>{''.join(parts)}</svg>"
    )


def _logarithm(surface: Floats) -> Floats:
    """Return log(loss), of what is finite; the rest is as high as the highest of that."""
    values = np.asarray(surface, dtype=np.float64)
    assert values.ndim == 2, values.shape
    assert values.shape[0] == values.shape[1] > 1, values.shape
    finite = np.isfinite(values)
    assert finite.any(), "a surface without a finite value"
    largest = float(values[finite].max())
    logs: Floats = np.log(np.maximum(np.where(finite, values, largest), 1e-12))
    return logs


def resampled(z: Floats, cells: int) -> Floats:
    """Bring a square array to (cells + 1, cells + 1) by cubic interpolation through its values.

    Nothing becomes higher or lower than the values there are.
    """
    weights = _cubic(len(z), cells)
    found: Floats = np.clip(weights @ z @ weights.T, z.min(), z.max())
    return found


def _cubic(count: int, cells: int) -> Floats:
    """Return the (cells + 1, count) weights of Catmull-Rom splines; ends go on straight."""
    place = np.linspace(0, count - 1, cells + 1)
    first = np.minimum(place.astype(int), count - 2)
    t = (place - first)[:, None]
    near = np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3],
        axis=1,
    )
    # One more point at each end, on the line through the two that are there.
    padded = np.zeros((cells + 1, count + 2))
    for k in range(4):
        padded[np.arange(cells + 1), first + k] += near[:, k] / 2
    weights = padded[:, 1:-1].copy()
    weights[:, 0] += 2 * padded[:, 0]
    weights[:, 1] -= padded[:, 0]
    weights[:, -1] += 2 * padded[:, -1]
    weights[:, -2] -= padded[:, -1]
    return weights


def _relief(z: Floats, left: float, top: float) -> str:
    """Draw a surface seen from above at a slant, far parts first, lit from the left."""
    z = resampled(z, _CELLS)
    side = np.linspace(-1, 1, len(z))
    x, y = np.meshgrid(side, side)
    px, py = _seen(x, y, z, left, top)
    depth = x * math.sin(_TURN) + y * math.cos(_TURN)
    shade = _shade(z)
    mean = (z[:-1, :-1] + z[1:, :-1] + z[:-1, 1:] + z[1:, 1:]) / 4
    far = (depth[:-1, :-1] + depth[1:, 1:]) / 2
    # The painter's algorithm: far cells first, near ones cover them.
    order = np.argsort(-far, axis=None, kind="stable")
    quads = []
    for number in order.tolist():
        i, j = divmod(number, _CELLS)
        corners = ((i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j))
        points = "L".join(f"{px[c]:.1f} {py[c]:.1f}" for c in corners)
        fill = hexadecimal(float(mean[i, j]), light=float(shade[i, j]))
        # A hair of the same color closes the seams between neighbours.
        quads.append(f'<path d="M{points}z" color="{fill}"/>')
    kind = 'fill="currentColor" stroke="currentColor" stroke-width=".9" stroke-linejoin="round"'
    return f"<g {kind}>{''.join(quads)}</g>"


def _seen(x: Floats, y: Floats, z: Floats, left: float, top: float) -> tuple[Floats, Floats]:
    """Project points of the box [-1, 1] x [-1, 1] x [0, 1] so that all of it fits the panel."""
    across = x * math.cos(_TURN) - y * math.sin(_TURN)
    depth = x * math.sin(_TURN) + y * math.cos(_TURN)
    up = depth * math.sin(_TILT) + z * _HEIGHT * math.cos(_TILT)
    reach = math.cos(_TURN) + math.sin(_TURN)
    tall = 2 * reach * math.sin(_TILT) + _HEIGHT * math.cos(_TILT)
    scale = min(PANEL / (2 * reach), _RELIEF / tall)
    px: Floats = left + PANEL / 2 + across * scale
    py: Floats = top + _RELIEF - (up + reach * math.sin(_TILT)) * scale
    return px, py


def _shade(z: Floats) -> Floats:
    """Return how bright each cell is, around 1, from the angle of its slope to the light."""
    step = 2 / (len(z) - 1)
    # Central differences at the middle of each cell, from its four corners.
    slope_y = (z[1:, :-1] + z[1:, 1:] - z[:-1, :-1] - z[:-1, 1:]) * _HEIGHT / (2 * step)
    slope_x = (z[:-1, 1:] + z[1:, 1:] - z[:-1, :-1] - z[1:, :-1]) * _HEIGHT / (2 * step)
    normal = np.stack([-slope_x, -slope_y, np.ones_like(slope_x)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lit = normal @ (_LIGHT / np.linalg.norm(_LIGHT))
    flat = float(_LIGHT[2] / np.linalg.norm(_LIGHT))
    # Flat ground keeps the color of the scale, so that it can be read from the map's legend.
    shade: Floats = np.clip(1 + 0.62 * (lit - flat), 0.5, 1.35)
    return shade


def _contour_map(z: Floats, left: float, top: float, levels: Floats, extent: float) -> str:
    """Draw the same values from straight above: filled by color, with lines of equal loss."""
    fine = resampled(z, _MAP_CELLS)
    cell = _MAP / _MAP_CELLS
    parts = [_filled(fine, left, top, levels)]
    for level in levels.tolist():
        color = hexadecimal(level, light=0.55)
        lines = []
        for line in contours(fine, level):
            points = "L".join(f"{left + c * cell:.1f} {top + r * cell:.1f}" for r, c in line)
            lines.append(f"M{points}")
        if lines:
            parts.append(f'<path d="{"".join(lines)}" stroke="{color}" fill="none"/>')
    x, y = left + _MAP / 2, top + _MAP / 2
    kind = f'fill="{LIGHT.paper}" stroke="{LIGHT.ink}"'
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" {kind}/>')
    parts.append(f'<rect class="hair" x="{left}" y="{top}" width="{_MAP}" height="{_MAP}"/>')
    for place, value in ((0.0, -extent), (0.5, 0.0), (1.0, extent)):
        parts.append(
            f'<text class="soft" font-size="12" x="{left + place * _MAP:.1f}" '
            f'y="{top + _MAP + 17:.1f}" text-anchor="middle">{value:.3g}</text>'
        )
        parts.append(
            f'<text class="soft" font-size="12" x="{left - 8:.1f}" '
            f'y="{top + place * _MAP + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    return f'<g stroke-width="1">{"".join(parts)}</g>'


def _filled(z: Floats, left: float, top: float, levels: Floats) -> str:
    """Fill the cells of each band of values with its color, run by run."""
    mean = (z[:-1, :-1] + z[1:, :-1] + z[:-1, 1:] + z[1:, 1:]) / 4
    band = np.digitize(mean, levels)
    cell = _MAP / len(mean)
    ends = np.concatenate([[0], levels, [1]])
    middles = (ends[1:] + ends[:-1]) / 2
    areas: dict[int, list[str]] = {}
    for i, row in enumerate(band):
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(row)], strict=True):
            wide = f"{(end - start) * cell + 0.2:.1f}"
            area = (
                f"M{left + start * cell:.1f} {top + i * cell:.1f}h{wide}v{cell + 0.2:.1f}h-{wide}z"
            )
            areas.setdefault(int(row[start]), []).append(area)
    parts = [
        f'<path d="{"".join(area)}" fill="{hexadecimal(float(middles[number]))}"/>'
        for number, area in sorted(areas.items())
    ]
    return f'<g shape-rendering="crispEdges">{"".join(parts)}</g>'


def tick_label(value: float) -> str:
    """Write a value of the scale; from 100,000 on as a power of ten, which has room."""
    exponent = round(math.log10(value))
    if value < 1e5 or not math.isclose(value, 10.0**exponent):
        return wording.number(value)
    return "10" + str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _scale_bar(low: float, high: float, left: float, top: float) -> str:
    """Draw the colors from the least to the largest loss, with round losses below."""
    width, height, steps = float(_BAR), 12, 64
    parts = []
    for i in range(steps):
        fill = hexadecimal((i + 0.5) / steps)
        parts.append(
            f'<rect x="{left + i * width / steps:.1f}" y="{top}" '
            f'width="{width / steps + 0.3:.1f}" height="{height}" fill="{fill}" '
            'shape-rendering="crispEdges"/>'
        )
    for tick in log_ticks(math.exp(low), math.exp(high), 5):
        x = left + width * (math.log(tick) - low) / (high - low)
        parts.append(
            f'<text class="soft" font-size="12" x="{x:.1f}" y="{top + height + 16}" '
            f'text-anchor="middle">{tick_label(tick)}</text>'
        )
    parts.append(
        f'<text class="soft" font-size="12" x="{left - 10:.1f}" y="{top + 10}" '
        'text-anchor="end">loss</text>'
    )
    return "".join(parts)
