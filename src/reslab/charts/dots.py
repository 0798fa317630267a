"""Runs as dots, a row an arm: for what has a name and no number to be drawn over."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from reslab.charts.axis import Axis
from reslab.charts.table import Table
from reslab.display import wording
from reslab.display.names import shown
from reslab.display.short import short_repr

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
        color: number of the color.
    """

    label: str
    values: tuple[float, ...]
    paper: float | None
    color: int


@dataclasses.dataclass(frozen=True)
class DotRows:
    """Arms over a common axis.

    Args:
        rows: one an arm.
        limits: least and greatest value of the axis.
        what: what is drawn, with its unit.
        log: whether the axis is logarithmic.
    """

    rows: Sequence[Dots]
    limits: tuple[float, float]
    what: str
    log: bool

    __repr__ = short_repr

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the drawing."""
        return WIDTH, ROW * len(self.rows) + _BOTTOM

    def svg(self) -> Markup:
        """Return the drawing, for a page with the style sheet."""
        return draw_dots(self)

    def numbers(self) -> Table:
        """Return a row for each run."""
        values: list[list[str | float]] = [
            [row.label, value] for row in self.rows for value in row.values
        ]
        return Table([("arm", False), (self.what, True)], values)


def draw_dots(dots: DotRows) -> Markup:
    """Draw the rows as one `<svg class="plot">`."""
    rows, what, height = dots.rows, dots.what, dots.size[1]
    floor = height - _BOTTOM
    x = Axis(*dots.limits, _LEFT, WIDTH - _RIGHT, "log" if dots.log else "linear")
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
    )


def _row(row: Dots, x: Axis, top: float) -> str:
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
        parts.append(f'<g class="series c{row.color} bold">{dots}{line}</g>')
    return "".join(parts)


def _mean(row: Dots) -> str:
    return wording.number(float(np.mean(row.values))) if row.values else "no numbers"
