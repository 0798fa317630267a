"""How many bits the 16-bit images of a data set use: one answer for all of them.

Cameras, scanners and microscopes store 10, 12 or 14 bits in files of 16. Scaled by 65535 only 5,
17 or 65 of 256 grey levels would be left. Scaling each image by its own maximum would lose what
brightness means, so the training images decide together, and the model keeps what they said.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from reslab.data.bit_depth import FULL_BIT_DEPTH
from reslab.data.dataset import Dataset, FileImages
from reslab.data.decode import read_header, used_depth
from reslab.data.findings import Finding, count, list_names
from reslab.errors import DataError

_MOST_HEADERS = 1_024
_MOST_DECODED = 128
_EIGHT_BIT_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".bmp"})
# With fewer bits than this the 8 bits that are kept of 16 show visible steps.
_COARSE_BITS = 12


@dataclasses.dataclass(frozen=True)
class UsedBits:
    """What 16-bit images use.

    Args:
        bit_depth: the usual depth (8, 10, 12, 14, 16) that holds every value that was seen.
        typical: the one that holds 999 of 1,000 pixels of each image.
        images: how many images were looked at.
    """

    bit_depth: int
    typical: int
    images: int

    @property
    def is_coarse(self) -> bool:
        """Tell whether a few bright pixels leave hardly any grey levels to the others."""
        return self.bit_depth > _COARSE_BITS >= self.typical


def find_used_bits(dataset: Dataset) -> UsedBits | None:
    """Look at 16-bit training images, spread evenly; None where none are found.

    Stops at the first image that uses all of its bits. Damaged files are left to others.
    """
    images = dataset.images
    if not isinstance(images, FileImages):
        return None
    train = dataset.splits.get("train", np.arange(len(images)))
    numbers = [n for n in train.tolist() if _may_be_wide(images.paths[n])]
    wide = [n for n in _spread(numbers, _MOST_HEADERS) if _is_wide(images.name(n))]
    found = []
    for number in _spread(wide, _MOST_DECODED):
        depths = _depths(images.name(number))
        if depths is not None:
            found.append(depths)
            if depths[1] == FULL_BIT_DEPTH:
                break
    return _together(found)


def check_used_bits(dataset: Dataset, used: UsedBits | None, workers: int) -> list[Finding]:
    """Decode all 16-bit images and say which range is taken, and which images exceed it.

    Args:
        dataset: whose images.
        used: what the training images say.
        workers: threads.
    """
    images = dataset.images
    if used is None or not isinstance(images, FileImages):
        return []
    names = [images.name(n) for n, path in enumerate(images.paths) if _may_be_wide(path)]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        wide = [
            name for name, is_wide in zip(names, pool.map(_is_wide, names), strict=True) if is_wide
        ]
        depths = list(pool.map(_depths, wide))
    if used.is_coarse:
        return [_coarse(used, wide)]
    white = (1 << used.bit_depth) - 1
    found = []
    if used.bit_depth < FULL_BIT_DEPTH:
        message = (
            f"{count(len(wide), 'image')} of 16 bits whose values use {used.bit_depth}: training "
            f"takes {white:,} as white, not 65,535"
        )
        remedy = "train with --bit-depth N if white is another value"
        found.append(Finding("bit-depth", "warning", message, tuple(wide), remedy))
    brighter = [
        name
        for name, depth in zip(wide, depths, strict=True)
        if depth is not None and depth[0] > used.bit_depth
    ]
    if brighter:
        message = f"brighter than {white:,} and clipped: {list_names(brighter)}"
        remedy = "train with --bit-depth 16 to keep all values"
        found.append(Finding("bit-depth", "warning", message, tuple(brighter), remedy))
    return found


def _coarse(used: UsedBits, names: list[str]) -> Finding:
    levels = -(-255 * (1 << used.typical) // 65_535) + 1
    return Finding(
        "bit-depth",
        "warning",
        f"{count(len(names), 'image')} of 16 bits with values up to {used.bit_depth} bits, but 999 "
        f"of 1,000 pixels use {used.typical}: they share {levels} of 256 grey levels",
        tuple(names),
        f"train with --bit-depth {used.typical} if the few bright pixels are faults or marks",
    )


def _may_be_wide(path: str) -> bool:
    return os.path.splitext(path)[1].lower() not in _EIGHT_BIT_SUFFIXES


def _is_wide(name: str) -> bool:
    try:
        return read_header(name).sixteen_bits
    except DataError:
        return False


def _depths(name: str) -> tuple[int, int] | None:
    try:
        return used_depth(name)
    except DataError:
        return None


def _spread(numbers: list[int], most: int) -> list[int]:
    places = np.linspace(0, len(numbers) - 1, min(len(numbers), most)).astype(np.int64)
    return [numbers[place] for place in places.tolist()]


def _together(depths: Sequence[tuple[int, int]]) -> UsedBits | None:
    largest, typical = [d[0] for d in depths], [d[1] for d in depths]
    return UsedBits(max(largest), max(typical), len(largest)) if largest else None
