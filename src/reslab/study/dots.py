"""Runs as dots, a row an arm: for what has a name and no number to be drawn over."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from reslab.display import wording
from reslab.display.names import shown
from reslab.report.scale import Scale

WIDTH = 520
ROW = 40
_LEFT, _RIGHT, _BOTTOM = 6, 14, 26


@dataclasses.dataclass(frozen=True)
class Dots:
    """One arm.

    Args:
        label: its name.
        values: one a run.
        paper: the paper's number; None to draw none.
        colour: number of the colour.
    """

    label: str
    values: tuple[float, ...]
    paper: float | None
    colour: int


def draw_dots(
    rows: Sequence[Dots], limits: tuple[float, float], what: str, *, log: bool
) -> tuple[Markup, int]:
    """Draw the rows over a common axis; returns an `<svg class="plot">` and its height."""
    height = ROW * len(rows) + _BOTTOM
    floor = height - _BOTTOM
    x = Scale(*limits, _LEFT, WIDTH - _RIGHT, "log" if log else "linear")
    parts = []
    for tick in x.ticks(6):
        at = x(tick)
        parts.append(f'<path class="grid" d="M{at:.1f} 0L{at:.1f} {floor}"/>')
        label = wording.number(tick)
        parts.append(f'<text class="tick-x" x="{at:.1f}" y="{floor + 8}">{label}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {floor}L{WIDTH - _RIGHT} {floor}"/>')
    parts += [_row(row, x, ROW * i) for i, row in enumerate(rows)]
    said = "; ".join(f"{row.label} {_mean(row)}" for row in rows)
    name = escape(shown(f"{what} by arm. {said}."))
    return Markup(
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">'
        f"{''.join(parts)}</svg>"
    ), height


def _row(row: Dots, x: Scale, top: float) -> str:
    middle = top + 28
    label = escape(shown(wording.shortened(row.label, 44)))
    parts = [
        f'<text class="name" x="{_LEFT}" y="{top + 14:g}">{label}</text>',
        f'<text class="value" x="{WIDTH - _RIGHT}" y="{top + 14:g}">{_mean(row)}</text>',
    ]
    if row.paper is not None:
        at = x(row.paper)
        diamond = f"M{at - 5:.1f} {middle}L{at:.1f} {middle - 5}L{at + 5:.1f} {middle}"
        parts.append(f'<path class="paper" d="{diamond}L{at:.1f} {middle + 5}Z"/>')
    if row.values:
        mean = x(float(np.mean(row.values)))
        dots = "".join(
            f'<circle class="dot" cx="{x(v):.1f}" cy="{middle}" r="3.5"/>' for v in row.values
        )
        line = f'<path class="line" d="M{mean:.1f} {middle - 8}L{mean:.1f} {middle + 8}"/>'
        parts.append(f'<g class="series c{row.colour} bold">{dots}{line}</g>')
    return "".join(parts)


def _mean(row: Dots) -> str:
    return wording.number(float(np.mean(row.values))) if row.values else "no numbers"
