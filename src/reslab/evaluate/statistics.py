"""The few formulas that metrics and comparisons rest on; numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]

_Z95 = 1.959963984540054  # the standard normal's 97.5% quantile


def wilson_pct(hits: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share: where |hits/n - p| <= z sqrt(p (1 - p) / n).

    Unlike the usual +- interval it stays within 0..100 and is right for few images.

    Source:
        Wilson 1927, J. Am. Stat. Assoc. 22, 209-212.
    """
    share, z2 = hits / count, _Z95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    # At the ends the formula is exact, and rounding would leave 1e-15 instead.
    low = 0.0 if hits == 0 else 100.0 * (middle - half)
    high = 100.0 if hits == count else 100.0 * (middle + half)
    return low, high


def softmax(logits: Floats, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Compute exp(z / T) / sum exp(z / T) over the last axis."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)  # exp of large logits would overflow
    powers = np.exp(scaled)
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def log_sum_exp(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Compute log sum exp(z) over each row of (N, C)."""
    top = logits.max(axis=1)
    total: npt.NDArray[np.float64] = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
    return total


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that all of them together err with at most 5%.

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        # Never below the one before: a larger p must not become the more significant one.
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, largest)
    return adjusted
