"""A repr of a few lines, whatever a value holds."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

WIDTH, LINES = 100, 8
ITEMS, TEXT = 4, 60


def short_repr(value: Any) -> str:
    """Return ``Name(field=value, ...)`` of a dataclass in a few lines: the `__repr__` of results.

    Arrays and tensors are told by type and shape, long collections by their length.
    """
    fields = [
        f"{field.name}={brief(getattr(value, field.name))}"
        for field in dataclasses.fields(value)
        if field.repr
    ]
    return lines(f"{type(value).__name__}({', '.join(fields)})")


def lines(text: str) -> str:
    """Wrap a text, and cut what is beyond a few lines."""
    wrapped = textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(wrapped if len(wrapped) <= LINES else [*wrapped[: LINES - 1], "    …)"])


def cut(parts: Sequence[str]) -> str:
    """Join lines, and leave out what is beyond a few."""
    every = "\n".join(parts).split("\n")
    more = f"… and {len(every) - LINES + 1} more lines"
    return "\n".join(every if len(every) <= LINES else [*every[: LINES - 1], more])


def brief(value: Any, depth: int = 0) -> str:
    """Describe a value in a few words.

    Args:
        value: anything.
        depth: how far it lies inside another one.
    """
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None and not isinstance(value, type):
        return f"{str(dtype).removeprefix('torch.')} {tuple(shape)}"
    if isinstance(value, str):
        return repr(value if len(value) <= TEXT else f"{value[: TEXT - 1]}…")
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Path):
        return repr(str(value))
    if value is None or isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value):,} bytes"
    if isinstance(value, Mapping):
        return _mapping(value, depth)
    if isinstance(value, Sequence | Set):
        return _sequence(value, depth)
    if dataclasses.is_dataclass(value) or callable(value):
        return getattr(value, "__name__", f"{type(value).__name__}(…)")
    text = repr(value)
    return text if len(text) <= TEXT and "\n" not in text else f"{type(value).__name__}(…)"


def _mapping(value: Mapping[Any, Any], depth: int) -> str:
    if len(value) > ITEMS or depth > 1:
        return f"{{{len(value):,} entries}}" if value else "{}"
    parts = (f"{brief(k, depth + 1)}: {brief(v, depth + 1)}" for k, v in value.items())
    return f"{{{', '.join(parts)}}}"


def _sequence(value: Sequence[Any] | Set[Any], depth: int) -> str:
    left, right = ("(", ")") if isinstance(value, tuple) else ("[", "]")
    if len(value) > ITEMS or depth > 1:
        return f"{left}{len(value):,} items{right}" if value else f"{left}{right}"
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    return f"{left}{', '.join(brief(item, depth + 1) for item in value)}{comma}{right}"


def named(names: Iterable[str], most: int = 6) -> str:
    """List the first of many names: cat, dog, … (10 in all)."""
    every = list(names)
    if len(every) <= most:
        return ", ".join(every)
    return f"{', '.join(every[: most - 1])}, … ({len(every):,} in all)"
