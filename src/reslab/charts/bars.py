"""Upright bars as inline SVG, in the manner of the plots: one bar a layer or block."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from reslab.charts.axis import Axis, enclosing
from reslab.charts.table import Table
from reslab.display import wording
from reslab.display.names import shown
from reslab.display.short import short_repr

NARROW, WIDE, HEIGHT = 520, 1040, 250
NARROW_UP_TO = 24
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 26


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bars:
    """Values side by side.

    Args:
        title: what they are, with the unit.
        names: what each bar is, for the pointer.
        values: one a bar; NaN leaves a gap.
        groups: what stands below runs of bars, e.g. the stage of each; empty strings for none.
        colors: number of each bar's color, 0 to 5.
    """

    title: str
    names: Sequence[str]
    values: Sequence[float]
    groups: Sequence[str]
    colors: Sequence[int]

    __repr__ = short_repr

    @property
    def wide(self) -> bool:
        """Whether there are so many that they need the whole width of a page."""
        return len(self.values) > NARROW_UP_TO

    def __post_init__(self) -> None:
        sizes = {len(self.names), len(self.values), len(self.groups), len(self.colors)}
        assert len(sizes) == 1, sizes

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the drawing."""
        return WIDE if self.wide else NARROW, HEIGHT

    def svg(self) -> Markup:
        """Return the drawing, for a page with the style sheet."""
        return draw_bars(self)

    def numbers(self) -> Table:
        """Return a row for each bar."""
        rows: list[list[str | float]] = [
            [name, float(v)] for name, v in zip(self.names, self.values, strict=True)
        ]
        return Table([("what", False), (self.title, True)], rows)


def draw_bars(bars: Bars) -> Markup:
    """Draw bars as one `<svg>` element, to be used inside a page with the style sheet."""
    low, high = enclosing(bars.values)
    y = Axis(low, high, HEIGHT - _BOTTOM, _TOP)
    width = WIDE if bars.wide else NARROW
    step = (width - _LEFT - _RIGHT) / max(1, len(bars.values))
    parts = []
    for tick in y.ticks(4):
        parts.append(f'<path class="grid" d="M{_LEFT} {y(tick):.1f}H{width - _RIGHT}"/>')
        parts.append(f'<text class="tick-y" x="{_LEFT - 8}" y="{y(tick):.1f}">{tick:g}</text>')
    gap = min(2.0, step * 0.2)
    for i, (name, value) in enumerate(zip(bars.names, bars.values, strict=True)):
        if not math.isfinite(value):
            continue
        x, top, foot = _LEFT + i * step, min(y(value), y(0)), max(y(value), y(0))
        said = escape(shown(f"{name}: {wording.number(float(value))}"))
        parts.append(
            f'<rect class="c{bars.colors[i]}" fill="currentColor" x="{x + gap / 2:.2f}" '
            f'y="{top:.1f}" width="{step - gap:.2f}" height="{max(foot - top, 0.4):.1f}">'
            f"<title>{said}</title></rect>"
        )
    parts.append(f'<path class="axis" d="M{_LEFT} {y(0):.1f}H{width - _RIGHT}"/>')
    parts += _groups(bars.groups, step)
    words = escape(
        shown(f"{bars.title}: {len(bars.values)} bars, the largest {max(bars.values):.3g}")
    )
    return Markup(
        f'<svg class="plot bars" viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{words}">'
        f"{''.join(parts)}</svg>"
    )


def _groups(groups: Sequence[str], step: float) -> list[str]:
    """Name each run of bars below it, with a notch where it begins."""
    starts = [i for i in range(len(groups)) if i == 0 or groups[i] != groups[i - 1]]
    parts = []
    for start, end in zip(starts, [*starts[1:], len(groups)], strict=True):
        left, right = _LEFT + start * step, _LEFT + end * step
        name = groups[start]
        parts.append(f'<path class="notch" d="M{left:.1f} {HEIGHT - _BOTTOM}v6"/>')
        if 6.5 * len(name) < right - left:
            x, y = (left + right) / 2, HEIGHT - _BOTTOM + 10
            parts.append(f'<text class="tick-x" x="{x:.1f}" y="{y}">{escape(shown(name))}</text>')
    return parts
