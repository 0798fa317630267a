"""How much room boxes, branches and repeats take."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from reslab.draw import text
from reslab.draw.layers import LayerGroup
from reslab.draw.structure import Box, Fork, Item, Repeat, Shortcut

FONT, SMALL = 12.0, 10.5
ROW, PILL, BAR, DOT = 23.0, 18.0, 18.0, 15.0
GAP = 16.0
PAD = 11.0
BESIDE = 16.0  # between branches
NEAR = 10.0
REACH = 24.0  # of an arc beyond what it goes around
BRACE = 12.0
PILLS = ("pill", "scale")
ASIDE = "auxiliary classifier"
LEAD = 10.0  # more room above branches that arcs go around
ARRIVE, LEAVE = 4.0, 7.0  # how far below and above boxes arcs meet the way
TURN = 7.5  # how far above boxes wires turn to branches


@dataclasses.dataclass(frozen=True)
class Extent:
    """How far something reaches to the left and to the right of its way, and down."""

    left: float
    right: float
    height: float


def box_width(items: Sequence[Item]) -> float:
    """Return the width that all boxes on one way share."""
    return max((_widest(item) for item in items), default=0.0)


def _widest(item: Item) -> float:
    match item:
        case Box(layer):
            return 0.0 if layer.kind in PILLS else _label_width(layer.text)
        case Fork(branches, _, _):
            return box_width(branches[0]) if len(branches) == 1 else 0.0
        case Repeat(inner, _):
            return box_width(inner)


def _label_width(label: str) -> float:
    return round(text.width(label, FONT) + 2 * PAD)


def extent(items: Sequence[Item], width: float) -> Extent:
    """Measure items one below the other; boxes on their way are `width` wide."""
    if not items:
        return Extent(width / 2, width / 2, 0.0)
    all_of_them = [_extent(item, width) for item in items]
    return Extent(
        max(e.left for e in all_of_them),
        max(e.right for e in all_of_them),
        sum(e.height for e in all_of_them) + GAP * (len(items) - 1),
    )


def _extent(item: Item, width: float) -> Extent:
    match item:
        case Box(layer):
            half = width_of(layer, width) / 2
            return Extent(half, half + _aside(layer), height_of(layer))
        case Repeat(inner, count):
            inside = extent(inner, width)
            lane = BRACE + 6 + text.width(f"× {count}", FONT, bold=True)
            return Extent(inside.left + lane, inside.right, inside.height)
        case Fork(branches, shortcuts, join):
            parts = branch_sizes(branches, width)
            middles = spread([e for _, e in parts])
            left = parts[0][1].left - middles[0]
            right = parts[-1][1].right + middles[-1]
            right += _lane(shortcuts) + (_aside(join) if join else 0)
            height = lead(item) + max(e.height for _, e in parts)
            if join is not None and is_drawn(join, branches):
                height += GAP + height_of(join)
            return Extent(left, right, height)


def branch_sizes(branches: Sequence[Sequence[Item]], width: float) -> list[tuple[float, Extent]]:
    """Return for each branch the width of its boxes and its extent."""
    if len(branches) == 1:
        return [(width, extent(branches[0], width))]
    widths = [box_width(branch) for branch in branches]
    return [(w, extent(branch, w)) for w, branch in zip(widths, branches, strict=True)]


def spread(branches: Sequence[Extent]) -> list[float]:
    """Return where the ways of branches lie, as distances from the way that forks.

    They are centred, but a branch that would lie almost on the way lies on it.
    """
    total = sum(e.left + e.right for e in branches) + BESIDE * (len(branches) - 1)
    edge = -total / 2
    middles = []
    for branch in branches:
        middles.append(edge + branch.left)
        edge += branch.left + branch.right + BESIDE
    # A jog of a few units would look like a mistake, so the nearest branch snaps to the way.
    nearest = min(middles, key=abs)
    shift = -nearest if len(branches) == 1 or abs(nearest) < NEAR else 0.0
    return [middle + shift for middle in middles]


def lead(fork: Fork) -> float:
    """Return the room above a fork where its arcs leave, before wires turn to its branches."""
    first = fork.branches[0][:1]
    turns = len(fork.branches) > 1 or (first and isinstance(first[0], Fork) and turning(first[0]))
    return LEAD if turns and fork.shortcuts else 0.0


def turning(fork: Fork) -> bool:
    """Tell whether wires turn to several branches right at the top of a fork."""
    first = fork.branches[0][0]
    return len(fork.branches) > 1 or (isinstance(first, Fork) and turning(first))


def _lane(shortcuts: Sequence[Shortcut]) -> float:
    labels = [text.width(s.text, SMALL) / 2 + 5 for s in shortcuts if s.text]
    return REACH * len(shortcuts) + max(labels, default=0.0) if shortcuts else 0.0


def is_drawn(join: LayerGroup, branches: Sequence[Sequence[Item]]) -> bool:
    """A sum on the way of one branch needs no mark: the arc meets the way."""
    return len(branches) > 1 or join.kind != "sum"


def width_of(layer: LayerGroup, width: float) -> float:
    """Return the width of a layer's box on a way whose boxes are `width` wide."""
    if layer.kind == "sum":
        return DOT
    return _label_width(layer.text) if layer.kind in PILLS else width


def height_of(layer: LayerGroup) -> float:
    """Return the height of a layer's box."""
    return {"pill": PILL, "scale": PILL, "concat": BAR, "gate": BAR, "sum": DOT}.get(
        layer.kind, ROW
    )


def _aside(layer: LayerGroup) -> float:
    return BESIDE + text.width(ASIDE, SMALL) + 2 * PAD if layer.tapped else 0.0
