"""16-bit values -> 8 bits: which value is white."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from reslab.data.arrays import Pixels

FULL_BIT_DEPTH = 16
BIT_DEPTHS = range(1, FULL_BIT_DEPTH + 1)
# What sensors and their files have; 8 for 8-bit images that a program kept in 16 bits.
_USUAL = (8, 10, 12, 14, FULL_BIT_DEPTH)


def to_eight_bits(values: npt.NDArray[Any], bit_depth: int) -> Pixels:
    """Compute round(255 * min(value, white) / white) with white = 2**bit_depth - 1.

    Args:
        values: unsigned integers of at most 16 bits, any shape.
        bit_depth: bits in use, 1..16.
    """
    white = (1 << bit_depth) - 1
    clipped = np.minimum(values.astype(np.uint32), white)
    return ((clipped * 255 + white // 2) // white).astype(np.uint8)


def usual_depth(largest: int) -> int:
    """Return the smallest of the usual bit depths that holds a value."""
    return next(depth for depth in _USUAL if largest < 1 << depth)
