"""The drawing as data: boxes, wires and arcs with their places, before any markup."""

from __future__ import annotations

import dataclasses
from typing import Literal

from reslab.display.short import short_repr

NodeStyle = Literal["conv", "fc", "pool", "pill", "bar", "dot", "aside"]
Point = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """A box with its label; x and y are its upper left corner.

    Args:
        look: how it is drawn; "bar" is a concatenation, "dot" a sum, "aside" what is only used
            in training.
        level: number of its colour: how often the image was halved up to here.
        about: what a pointer over it shows, a line each.
        layers: how many weighted layers it stands for.
    """

    x: float
    y: float
    width: float
    height: float
    text: str
    look: NodeStyle
    level: int
    about: str = ""
    layers: int = 0


@dataclasses.dataclass(frozen=True)
class Wire:
    """A line along points, with rounded corners; it may end in an arrow."""

    points: tuple[Point, ...]
    arrow: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arc:
    """A shortcut: from the way at (x, top) around its right side back to (end, bottom).

    Args:
        edge: right side of what it goes around.
        reach: how far it swings beyond the edge.
        dotted: whether dimensions change along it.
        text: a label in its middle, or empty.
    """

    x: float
    end: float
    top: float
    bottom: float
    edge: float
    reach: float
    dotted: bool
    text: str
    about: str = ""


@dataclasses.dataclass(frozen=True)
class Brace:
    """A brace at the left of what is repeated, with the count beside it."""

    x: float
    top: float
    bottom: float
    text: str


@dataclasses.dataclass(frozen=True)
class Label:
    """A line of text; `style` is a class of the style sheet."""

    x: float
    y: float
    text: str
    style: Literal["name", "sub", "size", "title"]
    anchor: Literal["start", "middle", "end"] = "middle"


@dataclasses.dataclass(frozen=True)
class Column:
    """One network.

    Args:
        name: the network's.
        x: of its main way.
    """

    name: str
    x: float
    nodes: tuple[Node, ...]
    wires: tuple[Wire, ...]
    arcs: tuple[Arc, ...]
    braces: tuple[Brace, ...]
    labels: tuple[Label, ...]

    __repr__ = short_repr


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Networks side by side, rows of equal output size at equal heights.

    Args:
        width: of the whole.
        height: of the whole.
        columns: the networks from left to right.
        lines: heights of the hairlines between output sizes.
        labels: the title, and the output sizes at the left.
        about: what it shows, for those who cannot see it.
    """

    width: float
    height: float
    columns: tuple[Column, ...]
    lines: tuple[float, ...]
    labels: tuple[Label, ...]
    about: str

    __repr__ = short_repr
