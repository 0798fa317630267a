"""Numbers and names as people read them, the same way everywhere on a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}


def shortened(text: str, length: int) -> str:
    """Cut a long text in its middle, where names differ least."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def number(value: float | int | None) -> str:
    """Write a number with its thousands apart, and no more digits than it deserves."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 999.5:
        return f"{value:,.0f}"
    if size < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.3g}"


def precise(value: float) -> str:
    """Write a number with five digits, or nothing where there is none."""
    return "" if math.isnan(value) else f"{value:.5g}"


def large(value: float | int | None) -> str:
    """Write a count of parameters or operations in thousands, millions or billions."""
    if value is None:
        return "–"
    for size, unit in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}"


def percent(value: float | None, count: int = 0) -> str:
    """Write a percentage; two decimals only where `count` images can support them."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{2 if count >= 1000 else 1}f}"


def duration(seconds: float | None) -> str:
    """Write a time as people say it: 38 s, 12 min 5 s, 2 h 3 min."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s".removesuffix(" 0 s")
    return f"{whole // 3600} h {whole % 3600 // 60} min".removesuffix(" 0 min")


def clock(seconds: float) -> str:
    """Write a time as a clock shows it: 42 s, 3:05, 1:02:03."""
    if seconds != seconds:
        return "?"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def plural(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does: a, b and c."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def plural_number(value: float, one: str) -> str:
    """Write a number that may be a fraction with its noun."""
    return f"{value:g} {one if value == 1 else one + 's'}"


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return every number of a nested object as (name, value)."""
    rows: list[tuple[str, str]] = []
    for name, one in value.items():
        if isinstance(one, dict):
            rows += flat(one, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", _plain(one)))
    return rows


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(_plain(v) if not isinstance(v, dict) else str(v) for v in value) or "none"
    return str(value)
