"""From nested blocks to places: boxes on their way, branches side by side, arcs around them."""

from __future__ import annotations

from collections.abc import Sequence

from reslab.draw import text
from reslab.draw.layers import LayerGroup
from reslab.draw.measure import (
    ARRIVE,
    ASIDE,
    BESIDE,
    DOT,
    GAP,
    LEAVE,
    PAD,
    PILL,
    REACH,
    SMALL,
    TURN,
    branch_sizes,
    extent,
    height_of,
    is_drawn,
    lead,
    spread,
    width_of,
)
from reslab.draw.shapes import Arc, Brace, Node, NodeStyle, Point, Wire
from reslab.draw.structure import Box, Fork, Item, Repeat, Shortcut

Way = tuple[Point, ...]  # the wire so far, from where something ended
_LOOKS: dict[str, NodeStyle] = {
    "conv": "conv", "fc": "fc", "pool": "pool", "pill": "pill", "scale": "pill",
    "concat": "bar", "gate": "bar", "sum": "dot",
}  # fmt: skip


class Placer:
    """Puts items into place and collects what is drawn.

    Args:
        x: of the main way.
        width: of the boxes on it.
    """

    def __init__(self, x: float, width: float) -> None:
        self.x = x
        self.width = width
        self.level = 0
        self.nodes: list[Node] = []
        self.wires: list[Wire] = []
        self.arcs: list[Arc] = []
        self.braces: list[Brace] = []

    def place(self, item: Item, y: float, entries: Sequence[Way], level: int) -> list[Way]:
        """Put an item on the main way with its top at y; return where the way goes on."""
        self.level = level
        return self._item(item, self.x, y, self.width, entries)

    def _item(
        self, item: Item, x: float, y: float, width: float, entries: Sequence[Way]
    ) -> list[Way]:
        match item:
            case Box(layer):
                for way in entries:
                    self._wire(_turned(way, x, y - TURN), y)
                return self._node(layer, x, y, width_of(layer, width))
            case Repeat(inner, count):
                exits = self._sequence(inner, x, y, width, entries)
                inside = extent(inner, width)
                place = x - inside.left - 5
                self.braces.append(Brace(place, y, y + inside.height, f"× {count}"))
                return exits
            case Fork():
                return self._fork(item, x, y, width, entries)

    def _sequence(
        self, items: Sequence[Item], x: float, y: float, width: float, entries: Sequence[Way]
    ) -> list[Way]:
        for item in items:
            entries = self._item(item, x, y, width, entries)
            y += extent([item], width).height + GAP
        return list(entries)

    def _fork(
        self, fork: Fork, x: float, y: float, width: float, entries: Sequence[Way]
    ) -> list[Way]:
        room = lead(fork)
        y += room
        # Above the height at which wires turn to the branches, or the arc would leave one of them.
        leave = y - GAP if room else y - LEAVE
        parts = branch_sizes(fork.branches, width)
        bottom = y + max(e.height for _, e in parts)
        middles = [x + middle for middle in spread([e for _, e in parts])]
        exits: list[Way] = []
        for branch, (inner_width, size), middle in zip(fork.branches, parts, middles, strict=True):
            into = [_turned(way, middle, y - TURN) for way in entries]
            # Branches end at one height rather than begin at it: where they meet matters more.
            exits += self._sequence(branch, middle, bottom - size.height, inner_width, into)
        left, right = middles[0] - parts[0][1].left, middles[-1] + parts[-1][1].right
        join = fork.join
        if join is None:
            return exits
        if not is_drawn(join, fork.branches):
            for number, shortcut in enumerate(fork.shortcuts):
                self._arc(shortcut, number, x, x, leave, bottom + ARRIVE, right)
            return exits
        top = bottom + GAP
        # A concatenation is a bar as wide as what it joins; a sum is a dot on the way itself.
        wide = DOT if join.kind == "sum" else right - left
        for way in exits:
            self._wire(_turned(way, x, top - TURN) if join.kind == "sum" else way, top)
        middle = x if join.kind == "sum" else (left + right) / 2
        self._node(join, middle, top, wide)
        side, height = middle + wide / 2, top + height_of(join) / 2
        for number, shortcut in enumerate(fork.shortcuts):
            self._arc(shortcut, number, x, side, leave, height, right)
        return [((x, top + height_of(join)),)]

    def _node(self, layer: LayerGroup, x: float, y: float, width: float) -> list[Way]:
        height = height_of(layer)
        self.nodes.append(
            Node(
                x=x - width / 2,
                y=y,
                width=width,
                height=height,
                text=layer.text,
                look=_LOOKS[layer.kind],
                level=self.level,
                about=about([layer]),
                layers=int(layer.weighted),
            )
        )
        if layer.tapped:
            wide = text.width(ASIDE, SMALL) + 2 * PAD
            start, middle = x + width / 2, y + height / 2
            self.wires.append(Wire(((start, middle), (start + BESIDE, middle))))
            self.nodes.append(
                Node(
                    x=start + BESIDE,
                    y=middle - PILL / 2,
                    width=wide,
                    height=PILL,
                    text=ASIDE,
                    look="aside",
                    level=self.level,
                    about="in training only: its loss is added to the network's own",
                )
            )
        return [((x, y + height),)]

    def _wire(self, way: Way, y: float) -> None:
        """End a wire straight down at a height."""
        self.wires.append(Wire((*way, (way[-1][0], y))))

    def _arc(
        self, shortcut: Shortcut, number: int, x: float, end: float, top: float, bottom: float,
        edge: float,
    ) -> None:  # fmt: skip
        self.arcs.append(
            Arc(
                x=x,
                end=end,
                top=top,
                bottom=bottom,
                edge=edge,
                reach=REACH * (number + 1),
                dotted=shortcut.dotted,
                text=shortcut.text,
                about=about(shortcut.layers) or "identity",
            )
        )


def _turned(way: Way, x: float, y: float) -> Way:
    """Lead a wire to another x at a height, where it is not there already."""
    last = way[-1]
    if last[0] == x:
        return way
    return (*way, (x, last[1])) if last[1] == y else (*way, (last[0], y), (x, y))


def about(layers: Sequence[LayerGroup]) -> str:
    """Say of each layer what it is, its output and its parameters, a line each."""
    lines = []
    for layer in layers:
        for op in layer.parts:
            shape = "×".join(str(n) for n in op.shape)
            params = f", {op.params:,} parameters" if op.params else ""
            name = f"{op.module}: " if op.module else ""
            lines.append(f"{name}{op.text} → {shape}{params}")
    return "\n".join(lines)
