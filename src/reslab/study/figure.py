"""One figure of a study: a drawing, and what is said about it."""

from __future__ import annotations

import dataclasses
from typing import Literal

from markupsafe import Markup

from reslab.display.short import short_repr
from reslab.report.plots import Plot, draw

Style = Literal["bold", "thin", "dashed", "points"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """One drawing with what is said about it.

    Args:
        name: of its file, without the ending.
        title: what is drawn, with its unit.
        by: over what, or empty.
        caption: what a reader must know.
        drawing: an `<svg class="plot">` for a page with the style sheet.
        width: of the drawing.
        height: of it.
        legend: (label, style, colour) of each curve.
    """

    name: str
    title: str
    by: str
    caption: str
    drawing: Markup
    width: int
    height: int
    legend: tuple[tuple[str, Style, int], ...]

    __repr__ = short_repr


def figure_of(name: str, plot: Plot, caption: str) -> Figure:
    """Draw a plot; its name becomes one of a file."""
    return Figure(
        name="".join(c if c.isalnum() or c in "-_" else "-" for c in name.lower()),
        title=plot.title, by=plot.x_label, caption=caption, drawing=draw(plot), width=plot.width,
        height=plot.height, legend=tuple((s.label, s.style, s.colour) for s in plot.series),
    )  # fmt: skip
