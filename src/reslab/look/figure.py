"""What a page on a network is made of: sections of figures, whatever draws them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from reslab.data.arrays import Pixels
from reslab.display.short import short_repr
from reslab.report.plots import Plot


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
class Drawing:
    """A finished SVG that takes its colours from the page, or holds its own.

    Args:
        svg: one `<svg>` element.
        legend: (number of the colour class, name) of what is drawn in it.
        wide: whether it needs the whole width of the page.
    """

    svg: Markup
    legend: Sequence[tuple[str, str]] = ()
    wide: bool = False

    __repr__ = short_repr


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A small table.

    Args:
        columns: (heading, whether numbers stand in it).
        rows: cells as text.
    """

    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]

    __repr__ = short_repr


Body = Plot | Gallery | Drawing | Table


@dataclasses.dataclass(frozen=True, eq=False)
class Figure:
    """One picture with what there is to know of it.

    Args:
        name: of its files, e.g. "grad-cam".
        title: a few words.
        caption: in one or two sentences what one sees.
        body: the picture.
        source: the paper and its section or figure.
        data: the numbers, as JSON values.
    """

    name: str
    title: str
    caption: str
    body: Body
    source: str = ""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    __repr__ = short_repr


@dataclasses.dataclass(frozen=True, eq=False)
class Section:
    """One part of the page.

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
