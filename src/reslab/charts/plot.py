"""Line and interval plots as inline SVG that follows the page's colors, light or dark.

A plot is plain markup without colors, fonts or sizes of its own: `plots.css` gives them, so that
it is readable on a phone, on paper and in the dark. As in the papers of He et al., training is
drawn thin and evaluation bold.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from markupsafe import Markup, escape

from reslab.charts.axis import Axis, AxisKind, enclosing
from reslab.charts.table import Table
from reslab.display import theme, wording
from reslab.display.names import shown
from reslab.display.short import short_repr

WIDTH = 520
ERROR_TOPS = (0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30, 40, 50, 60, 80, 100)
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 30
COLORS = theme.SERIES
Style = Literal["bold", "thin", "dashed", "points"]
_Point = tuple[float, float] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """One curve, or one set of points with intervals.

    Args:
        label: what the legend calls it.
        x: positions, increasing.
        y: values; NaN leaves a gap.
        low: lower ends of intervals around `y`, for a band or for whiskers.
        high: upper ends of them.
        style: "bold", "thin" and "dashed" lines, or "points" (with whiskers where there are
            intervals).
        color: number of the color, 0 to 5 (color-blind safe; see `display.theme`).
        sizes: radius of each point, drawing units; None for equal ones.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    style: Style = "bold"
    color: int = 0
    sizes: Sequence[float] | None = None

    __repr__ = short_repr

    def __post_init__(self) -> None:
        assert len(self.x) == len(self.y), (len(self.x), len(self.y))
        assert (self.low is None) == (self.high is None)
        assert 0 <= self.color < COLORS, self.color

    @property
    def last(self) -> float:
        """The last value that is a number, or NaN."""
        return next((v for v in reversed(self.y) if math.isfinite(v)), math.nan)


def axis_kind(series: Sequence[Series]) -> AxisKind:
    """Take a logarithmic axis where values span more than a factor of thirty."""
    values = [v for one in series for v in one.y if math.isfinite(v)]
    return "log" if values and min(values) > 0 and max(values) > 30 * min(values) else "linear"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plot:
    """One pair of axes with its curves.

    Args:
        title: what is drawn, with its unit: the vertical axis.
        x_label: the horizontal axis, with its unit.
        series: the curves, those drawn first lie below.
        kind: "linear" or "log", of the vertical axis.
        x_kind: the same of the horizontal axis.
        limits: least and greatest value of the vertical axis; None to choose round ones.
        x_limits: the same for the horizontal axis; None for the range of the data.
        marks: (position, label) of events, drawn as vertical lines.
        diagonal: draw the line y = x.
        height: of the drawing, where its width is `width`.
        width: of the drawing.
        note: what a reader must know of the axes, e.g. that one is cut.
    """

    title: str
    x_label: str
    series: Sequence[Series]
    kind: AxisKind = "linear"
    x_kind: AxisKind = "linear"
    limits: tuple[float, float] | None = None
    x_limits: tuple[float, float] | None = None
    marks: Sequence[tuple[float, str]] = ()
    diagonal: bool = False
    height: int = 300
    width: int = WIDTH
    note: str = ""

    __repr__ = short_repr

    def describe(self) -> str:
        """Say in words what the drawing shows, for those who cannot see it."""
        parts = []
        for one in self.series:
            values = [v for v in one.y if math.isfinite(v)]
            if values:
                parts.append(
                    f"{one.label}: {len(values)} values from {wording.number(float(one.y[0]))} "
                    f"to {wording.number(one.last)}, least {wording.number(min(values))}"
                )
        return f"{self.title} by {self.x_label}. " + ("; ".join(parts) or "No values") + "."

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the drawing."""
        return self.width, self.height

    def svg(self) -> Markup:
        """Return the drawing, for a page with the style sheet."""
        return draw(self)

    def numbers(self) -> Table:
        """Return a row for each place and a column for each curve, intervals beside it."""
        columns: dict[str, dict[float, float]] = {}
        for one in self.series:
            values, label = dict(zip(one.x, one.y, strict=True)), one.label
            # A curve and its points share a label and values; other curves of one label do not.
            if columns.get(label, values) != values:
                label = f"{label} ({len(columns)})"
            columns[label] = values
            if one.low is not None and one.high is not None:
                columns[f"{label}, low"] = dict(zip(one.x, one.low, strict=True))
                columns[f"{label}, high"] = dict(zip(one.x, one.high, strict=True))
        places = sorted({x for one in self.series for x in one.x})
        return Table(
            [(self.x_label, True), *((label, True) for label in columns)],
            [[x, *(found.get(x, math.nan) for found in columns.values())] for x in places],
        )


def draw(plot: Plot) -> Markup:
    """Draw a plot as one `<svg>` element, to be used inside a page with the style sheet."""
    x, y = _scales(plot)
    parts = [_grid(plot, x, y)]
    if plot.diagonal:
        parts.append(_segment("diagonal", x(x.low), y(x.low), x(x.high), y(x.high)))
    parts += [_mark(position, label, x, y) for position, label in plot.marks]
    # A drawing in the drawing cuts off what leaves the axes, with room for whole line ends.
    left, top, pad = x.start - 10, y.end - 10, 20
    box = f"{left:g} {top:g} {x.end - x.start + pad:g} {y.start - y.end + pad:g}"
    across, down, wide, high = box.split()
    parts.append(f'<svg x="{across}" y="{down}" width="{wide}" height="{high}" viewBox="{box}">')
    parts += [_curve(one, x, y) for one in plot.series]
    parts.append("</svg>")
    name = escape(shown(plot.describe()))
    return Markup(
        f'<svg class="plot" viewBox="0 0 {plot.width} {plot.height}" role="img" '
        f'aria-label="{name}"{_for_pointer(plot, x)}>{"".join(parts)}</svg>'
    )


def error_top(series: Sequence[Series]) -> float:
    """Choose the top of an error axis so that the later two thirds of all curves can be read."""
    late = [v for one in series for v in one.y[len(one.y) // 3 :] if math.isfinite(v)]
    wanted = 1.15 * max(late, default=100.0)
    return float(next((t for t in ERROR_TOPS if t >= wanted), 100))


def _scales(plot: Plot) -> tuple[Axis, Axis]:
    values = [v for one in plot.series for v in (*one.y, *(one.low or ()), *(one.high or ()))]
    low, high = plot.limits or enclosing(values, plot.kind)
    places = [v for one in plot.series for v in one.x]
    first, last = plot.x_limits or (min(places, default=0.0), max(places, default=1.0))
    if first == last:
        logarithmic = plot.x_kind == "log"
        first, last = (first / 2, last * 2) if logarithmic else (first - 1.0, last + 1.0)
    elif plot.x_limits is None and any(one.style == "points" for one in plot.series):
        # A dot on the very end of an axis would lie half on its labels.
        air = (last / first) ** 0.04 if plot.x_kind == "log" else 0.04 * (last - first)
        first, last = (
            (first / air, last * air) if plot.x_kind == "log" else (first - air, last + air)
        )
    x = Axis(first, last, _LEFT, plot.width - _RIGHT, plot.x_kind)
    return x, Axis(low, high, plot.height - _BOTTOM, _TOP, plot.kind)


def _grid(plot: Plot, x: Axis, y: Axis) -> str:
    parts = []
    for tick in y.ticks(5):
        parts.append(_segment("grid", x.start, y(tick), x.end, y(tick)))
        parts.append(_text("tick-y", x.start - 8, y(tick), _tick(tick)))
    ticks = x.ticks(6)
    if all(float(v).is_integer() for one in plot.series for v in one.x):
        ticks = [tick for tick in ticks if tick.is_integer()]
    for tick in ticks:
        parts.append(_segment("notch", x(tick), y.start, x(tick), y.start + 4))
        parts.append(_text("tick-x", x(tick), y.start + 8, _tick(tick)))
    parts.append(_segment("axis", x.start, y.start, x.end, y.start))
    return "".join(parts)


def _mark(position: float, label: str, x: Axis, y: Axis) -> str:
    line = _segment("mark", x(position), y.start, x(position), y.end)
    side = "mark-left" if x(position) > (x.start + x.end) / 2 else "mark-right"
    offset = -5 if side == "mark-left" else 5
    return line + _text(side, x(position) + offset, y.end + 2, label)


def _curve(one: Series, x: Axis, y: Axis) -> str:
    points = [(x(a), y(b)) if math.isfinite(b) else None for a, b in zip(one.x, one.y, strict=True)]
    parts = []
    if one.style == "points":
        parts += _whiskers(one, x, y)
        dots = points
    else:
        if one.low is not None and one.high is not None:
            parts.append(_band(one.x, one.low, one.high, x, y))
        parts.append(f'<path class="line" d="{_path(points)}"/>')
        dots = _lonely(points)
    sizes = one.sizes or [3.5] * len(dots)
    parts += [
        f'<circle class="dot" cx="{p[0]:.1f}" cy="{p[1]:.1f}" r="{r:g}"/>'
        for p, r in zip(dots, sizes, strict=True)
        if p
    ]
    return f'<g class="series c{one.color} {one.style}">{"".join(parts)}</g>'


def _lonely(points: Sequence[_Point]) -> list[_Point]:
    """Keep the points without neighbours: as a line they would have no length."""
    padded = [None, *points, None]
    return [
        here if padded[i] is None and padded[i + 2] is None else None
        for i, here in enumerate(points)
    ]


def _path(points: Sequence[_Point]) -> str:
    command, words = "M", []
    for point in points:
        if point is None:
            command = "M"
            continue
        words.append(f"{command}{point[0]:.1f} {point[1]:.1f}")
        command = "L"
    return "".join(words)


def _band(
    places: Sequence[float], low: Sequence[float], high: Sequence[float], x: Axis, y: Axis
) -> str:
    there = [
        (x(a), y(b), y(c))
        for a, b, c in zip(places, low, high, strict=True)
        if math.isfinite(b) and math.isfinite(c)
    ]
    outline = [(a, c) for a, _, c in there] + [(a, b) for a, b, _ in reversed(there)]
    return f'<path class="band" d="{_path(outline)}Z"/>' if there else ""


def _whiskers(one: Series, x: Axis, y: Axis) -> list[str]:
    if one.low is None or one.high is None:
        return []
    return [
        _segment("whisker", x(a), y(b), x(a), y(c))
        for a, b, c in zip(one.x, one.low, one.high, strict=True)
        if math.isfinite(b) and math.isfinite(c)
    ]


def _segment(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _text(kind: str, x: float, y: float, text: str) -> str:
    safe = escape(shown(text))
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{safe}</text>'


def _tick(value: float) -> str:
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:g}M"
    if size >= 10_000:
        return f"{value / 1e3:g}k"
    return wording.number(value)


def _for_pointer(plot: Plot, x: Axis) -> Markup:
    """Return the values as attributes, so that the page can show those under the pointer."""
    if not plot.series or plot.x_kind == "log" or any(one.style == "points" for one in plot.series):
        return Markup("")
    longest = max(plot.series, key=lambda one: len(one.x))
    rows = [" ".join(f"{v:g}" for v in longest.x)]
    for one in plot.series:
        known = {a: wording.number(float(b)) for a, b in zip(one.x, one.y, strict=True)}
        rows.append(" ".join(known.get(a, "–").replace(" ", "_") for a in longest.x))
    box = f"{x.start:g} {x.end:g} {x.low:g} {x.high:g}"
    name = plot.x_label.split(",")[0]
    return Markup(' data-box="{}" data-x="{}" data-values="{}"').format(box, name, ";".join(rows))
