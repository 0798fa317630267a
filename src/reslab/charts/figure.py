"""A figure: what is drawn, its title and caption, its numbers, and words for who cannot see it."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from markupsafe import Markup

from reslab.charts.bars import Bars
from reslab.charts.dots import DotRows
from reslab.charts.plot import Plot, Style
from reslab.charts.table import Table
from reslab.data.arrays import Pixels
from reslab.display.short import short_repr


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Some pictures of one size, side by side in lines.

    Args:
        heading: what they are, or empty.
        pictures: uint8, (height, width, 3) each.
        columns: how many in a line.
        alt: what they show, in words.
    """

    heading: str
    pictures: Sequence[Pixels]
    columns: int
    alt: str

    __repr__ = short_repr


@dataclasses.dataclass(frozen=True, eq=False)
class Card:
    """Blocks that belong together, e.g. an image and what is made of it.

    Args:
        blocks: from left to right.
        label: a line above them, or empty.
        note: what else there is to say, or empty.
    """

    blocks: Sequence[Block]
    label: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Gallery:
    """Cards that flow.

    Args:
        cards: in reading order.
        width: least width of a card on the page, pixels; a card is never wider than the page.
    """

    cards: Sequence[Card]
    width: int

    __repr__ = short_repr


@dataclasses.dataclass(frozen=True, eq=False)
class CustomSvg:
    """A finished SVG that takes its colors from the page, or holds its own.

    Args:
        markup: one `<svg>` element with a viewBox.
        wide: whether it needs the whole width of the page.
        contents: what it shows as numbers; None where that is more than a table can say.
    """

    markup: Markup
    wide: bool = False
    contents: Table | None = None

    __repr__ = short_repr

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the drawing."""
        box = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', self.markup)
        assert box is not None
        return float(box[1]), float(box[2])

    def svg(self) -> Markup:
        """Return the element."""
        return self.markup

    def numbers(self) -> Table | None:
        """Return what it shows."""
        return self.contents


Chart = Plot | Bars | DotRows | CustomSvg
Body = Chart | Gallery | Table


@dataclasses.dataclass(frozen=True)
class Key:
    """One entry of a legend.

    Args:
        label: what it is.
        style: how it is drawn.
        color: number of its color.
        last: its last value; None to show none.
    """

    label: str
    style: Style
    color: int
    last: float | None = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Figure:
    """One picture with what there is to know of it.

    Args:
        name: of its files, e.g. "grad-cam".
        title: a few words; empty for a plot whose vertical axis says it all.
        caption: in one or two sentences what one sees.
        body: what is drawn.
        by: over what, e.g. "arm", or empty; a plot says it itself.
        source: the paper and its section or figure.
        data: all numbers behind it, as JSON values.
        legend: None for that of the body.
    """

    name: str
    title: str
    caption: str
    body: Body
    by: str = ""
    source: str = ""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    legend: Sequence[Key] | None = None

    __repr__ = short_repr

    @property
    def kind(self) -> Literal["chart", "gallery", "table"]:
        """What sort of body it has, for templates."""
        match self.body:
            case Gallery():
                return "gallery"
            case Table():
                return "table"
        return "chart"

    @property
    def heading(self) -> str:
        """The title; of a plot without one, what its vertical axis is."""
        return self.title or (self.body.title if isinstance(self.body, Plot) else "")

    @property
    def over(self) -> str:
        """What it is drawn over, or empty; also empty where `axes` says it."""
        if isinstance(self.body, Plot):
            return "" if self.axes else self.body.x_label
        return self.by

    @property
    def axes(self) -> str:
        """What the axes of a plot are, where its heading does not say so."""
        if not isinstance(self.body, Plot) or self.heading == self.body.title:
            return ""
        return f"{self.body.title} by {self.body.x_label}"

    @property
    def keys(self) -> Sequence[Key]:
        """The legend."""
        if self.legend is not None or not isinstance(self.body, Plot):
            return self.legend or ()
        return [Key(one.label, one.style, one.color, one.last) for one in self.body.series]

    @property
    def wide(self) -> bool:
        """Whether it needs the whole width of a page."""
        match self.body:
            case Bars() | CustomSvg():
                return self.body.wide
            case Gallery(cards, width):
                return len(cards) > 1 or width >= 500
            case Table():
                return True
        return False

    @property
    def svg(self) -> Markup:
        """The chart as one `<svg>` element, for a page with the style sheet."""
        assert isinstance(self.body, Chart), self.kind
        return self.body.svg()

    def numbers(self) -> Table | None:
        """Return what is drawn as a table; None where a table cannot hold it."""
        return self.body.numbers() if isinstance(self.body, Chart) else None

    def csv(self) -> str:
        """Return the same table as comma-separated values, empty where there is none."""
        table = self.numbers()
        if table is None:
            return ""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([heading for heading, _ in table.columns])
        for row in table.rows:
            writer.writerow(["" if isinstance(v, float) and math.isnan(v) else v for v in row])
        return text.getvalue()


def figure_of(name: str, plot: Plot, caption: str = "") -> Figure:
    """Make a figure of a plot; its name becomes one of a file."""
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in name.lower())
    note = f"{plot.note[:1].upper()}{plot.note[1:]}." if plot.note else ""
    return Figure(name=plain, title=plot.title, caption=caption or note, body=plot)


@dataclasses.dataclass(frozen=True, eq=False)
class Section:
    """One part of a page of figures.

    Args:
        name: as `--only` names it.
        title: its heading.
        lead: the main finding, in a sentence or two.
        figures: in reading order.
        missing: what had to be left out, a sentence each.
    """

    name: str
    title: str
    lead: str
    figures: Sequence[Figure]
    missing: Sequence[str] = ()

    __repr__ = short_repr
