"""What a handful of measurements says."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, quartiles, least and greatest."""
    quartiles = (
        statistics.quantiles(values, n=4, method="inclusive")
        if len(values) > 1
        else [values[0]] * 3
    )
    return {
        "median": statistics.median(values),
        "low": quartiles[0],
        "high": quartiles[2],
        "least": min(values),
        "most": max(values),
        "count": len(values),
    }
