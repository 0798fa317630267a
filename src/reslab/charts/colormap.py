"""Color maps that are even to the eye and safe for the color-blind, as tables of RGB."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from reslab.data.arrays import Pixels
from reslab.display.theme import LIGHT, rgb

Floats = npt.NDArray[np.float64]

# Ten anchors each of matplotlib's maps (Smith and van der Walt 2015, CC0).
VIRIDIS = "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725"
MAGMA = "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf"

# As on a page: orange and blue, with nothing between them.
_POSITIVE, _NEGATIVE = rgb(LIGHT.wrong), rgb(LIGHT.right)


@functools.cache
def table(anchors: str, size: int = 256) -> Floats:
    """Return `size` colors, (size, 3) in 0..255, between anchors as #rrggbb without the #."""
    points = np.array([[int(a[i : i + 2], 16) for i in (0, 2, 4)] for a in anchors.split()], float)
    places = np.linspace(0, len(points) - 1, size)
    columns = [np.interp(places, np.arange(len(points)), points[:, c]) for c in range(3)]
    return np.stack(columns, axis=1)


def colored(values: Floats, anchors: str = VIRIDIS) -> Pixels:
    """Map values in 0..1 of any shape to uint8 RGB, (..., 3)."""
    colors = table(anchors)
    place = np.clip(np.nan_to_num(values), 0.0, 1.0) * (len(colors) - 1)
    pixels: Pixels = colors[place.round().astype(int)].round().astype(np.uint8)
    return pixels


def hexadecimal(value: float, anchors: str = VIRIDIS, light: float = 1.0) -> str:
    """Return the color of a value in 0..1 as #rrggbb, darkened or lightened by a factor.

    Args:
        value: in 0..1.
        anchors: the color map.
        light: below 1 goes towards black; above 1 towards white.
    """
    colors = table(anchors)
    picked = colors[round(min(1.0, max(0.0, value)) * (len(colors) - 1))]
    picked = picked * light if light <= 1 else picked + (255 - picked) * min(1.0, light - 1)
    return "#" + "".join(f"{round(float(c)):02x}" for c in picked)


def heated(pixels: Pixels, heat: Floats) -> Pixels:
    """Lay heat in 0..1 over an image: cold parts fade to a dark gray, hot ones glow.

    Args:
        pixels: uint8 (H, W, 3).
        heat: (H, W).
    """
    heat = np.clip(heat, 0.0, 1.0)[..., None]
    gray = pixels.astype(float).mean(axis=2, keepdims=True)
    base = 0.55 * gray
    glow = table(MAGMA)[(70 + heat[..., 0] * 185).round().astype(int)]
    strength = 0.88 * heat**0.6
    # Where it is hot the image shines through in its own light and shade.
    lit = glow * (0.6 + 0.4 * gray / 255)
    return _bytes(base * (1 - strength) + lit * strength)


def marked(pixels: Pixels, values: Floats) -> Pixels:
    """Lay signed values in -1..1 over an image: orange above zero, blue below.

    Args:
        pixels: uint8 (H, W, 3).
        values: (H, W).
    """
    values = np.clip(values, -1.0, 1.0)[..., None]
    gray = pixels.astype(float).mean(axis=2, keepdims=True)
    pale = 120 + 0.5 * gray
    color = np.where(values > 0, np.array(_POSITIVE, float), np.array(_NEGATIVE, float))
    strength = 0.92 * np.abs(values) ** 0.7
    return _bytes(pale * (1 - strength) + color * strength)


def _bytes(values: Floats) -> Pixels:
    pixels: Pixels = np.clip(values, 0, 255).round().astype(np.uint8)
    return pixels
