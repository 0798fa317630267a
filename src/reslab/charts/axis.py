"""Axes: from data to drawing units, with ticks at round numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Literal

AxisKind = Literal["linear", "log"]
_TINY = 1e-100  # below it, divisions lose their digits


@dataclasses.dataclass(frozen=True)
class Axis:
    """Maps [low, high] of the data to [start, end] of the drawing.

    Args:
        low: least value on the axis.
        high: greatest value on the axis; more than `low`.
        start: drawing coordinate of `low`.
        end: drawing coordinate of `high`.
        kind: "log" needs a positive `low`.
    """

    low: float
    high: float
    start: float
    end: float
    kind: AxisKind = "linear"

    def __post_init__(self) -> None:
        assert self.low < self.high, (self.low, self.high)
        assert self.kind == "linear" or self.low > 0, self.low

    def __call__(self, value: float) -> float:
        """Return the drawing coordinate of a value; outside the axis the line continues."""
        if self.kind == "log":
            # A zero has no place on a logarithmic axis: it goes just below its end.
            value = max(value, self.low * 1e-3)
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Return round values on the axis, roughly as many as asked for."""
        if self.kind == "log":
            return log_ticks(self.low, self.high, about)
        return linear_ticks(self.low, self.high, about)


def linear_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return the multiples of 1, 2 or 5 times a power of ten in [low, high]."""
    step = round_step((high - low) / max(1, about))
    # A tick on the very end must not be lost to rounding.
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return powers of ten in [low, high], with 2 and 5 between them where few fit."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for factors in ((1,), (1, 3), (1, 2, 5)):
        ticks = [f * 10.0**d for d in decades for f in factors]
        ticks = [t for t in ticks if low * (1 - 1e-9) <= t <= high * (1 + 1e-9)]
        if len(ticks) >= 3:
            break
    if len(ticks) < 2:
        return linear_ticks(low, high, about)
    return ticks[:: max(1, math.ceil(len(ticks) / (about + 2)))]


def round_step(rough: float) -> float:
    """Return the least of 1, 2, 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(f * power for f in (1, 2, 5, 10) if f * power >= rough * (1 - 1e-9))


def enclosing(values: Iterable[float], kind: AxisKind = "linear") -> tuple[float, float]:
    """Return the least and greatest of the values, widened to round numbers.

    A linear axis of positive values starts at zero. Without values it is (0, 1).
    """
    finite = [v for v in values if math.isfinite(v) and (kind == "linear" or v > _TINY)]
    if not finite:
        return (0.1, 1.0) if kind == "log" else (0.0, 1.0)
    low, high = min(finite), max(finite)
    if kind == "log":
        if low == high:
            return low / 2, high * 2
        return low / 1.15, high * 1.15
    low = min(low, 0.0)
    if high - low < _TINY:
        return low, low + 1.0
    step = round_step((high - low) / 5)
    return math.floor(low / step) * step, math.ceil(high / step - 1e-9) * step
