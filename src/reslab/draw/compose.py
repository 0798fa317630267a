"""Networks side by side, aligned by output size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reslab.display.theme import LEVELS
from reslab.draw import text
from reslab.draw.measure import FONT, GAP, ROW, box_width, extent
from reslab.draw.networks import END, Traced, TracedRow, traced
from reslab.draw.place import Placer, Way
from reslab.draw.shapes import Column, Drawing, Label
from reslab.networks import NetworkSpec

MARGIN = 28.0
BETWEEN = 44.0  # columns
BAND_GAP = 32.0
TITLE, HEAD, FOOT = 38.0, 80.0, 64.0  # heights
NAME = 15.0


def draw(specs: Sequence[NetworkSpec], *, folded: bool | None = None, title: str = "") -> Drawing:
    """Draw networks side by side, as figure 3 of He et al. 2015 does.

    Args:
        specs: the networks, from left to right.
        folded: whether repeats are drawn once with their count; None for those networks that
            would be very tall.
        title: a line above all of them.

    Raises:
        UsageError: an image size is less than its network can take.
    """
    return _Composer([traced(spec, folded) for spec in specs], title).run()


class _Composer:
    def __init__(self, networks: Sequence[Traced], title: str) -> None:
        self.networks = networks
        self.title = title
        self.width = max(box_width(network.items) for network in networks)
        self.levels = sorted({row.level for network in networks for row in network.rows})
        self.top = MARGIN + (TITLE if title else 0.0)
        self.tops = self._tops()
        self.foot = max(self._bottom(level) for level in self.levels)

    def run(self) -> Drawing:
        sizes = self._sizes()
        gutter = max((text.width(label.text, FONT) for label in sizes), default=-18.0)
        x = MARGIN + gutter + 18
        columns = []
        for network in self.networks:
            left, right = self._reach(network)
            columns.append(self._column(network, x + left))
            x += left + right + BETWEEN
        title = (Label(MARGIN, MARGIN + 8, self.title, "title", "start"),) if self.title else ()
        wide = MARGIN * 2 + text.width(self.title, 19, bold=True)
        names = ", ".join(network.spec.name for network in self.networks)
        return Drawing(
            width=math.ceil(max(x - BETWEEN + MARGIN, wide)),
            height=math.ceil(self.foot + FOOT),
            columns=tuple(columns),
            lines=tuple(self.tops[level] - BAND_GAP / 2 for level in self.levels[1:]),
            labels=(*title, *sizes),
            about=f"Layers of {names}",
        )

    def _tops(self) -> dict[int, float]:
        """Return the height at which each level begins."""
        self.tops = {}
        y = self.top + HEAD
        for level in self.levels:
            self.tops[level] = y
            y = self._bottom(level) + BAND_GAP
        return self.tops

    def _bottom(self, level: int) -> float:
        # The tallest stack of a level sets its height, so that sizes align across networks.
        stacks = [[r.item for r in n.rows if r.level == level] for n in self.networks]
        return self.tops[level] + max(extent(stack, 0).height for stack in stacks)

    def _shared(self, level: int) -> int | None:
        """Return the output size of all rows of a level, or None where it differs."""
        sides = {r.side for network in self.networks for r in network.rows if r.level == level}
        return sides.pop() if len(sides) == 1 else None

    def _sizes(self) -> list[Label]:
        """Label the output sizes at the left: those that all networks share, or a single one's."""
        labels = []
        for level in self.levels:
            shared = self._shared(level)
            if shared is not None:
                labels.append((self.tops[level], shared))
            elif len(self.networks) == 1:
                labels += [(y, row.side) for y, row in self._changes(self.networks[0], level)]
        return [
            Label(MARGIN, y + ROW / 2, f"output size: {side}", "size", "start")
            for y, side in labels
        ]

    def _changes(self, network: Traced, level: int) -> list[tuple[float, TracedRow]]:
        """Return the rows of a level where the output size changes, with their heights."""
        found: list[tuple[float, TracedRow]] = []
        y = self.tops[level]
        for row in network.rows:
            if row.level == level:
                if not found or found[-1][1].side != row.side:
                    found.append((y, row))
                y += extent([row.item], self.width).height + GAP
        return found

    def _own_sizes(self, network: Traced, x: float) -> list[Label]:
        """Label the output sizes that only this one of several networks has."""
        if len(self.networks) == 1:
            return []
        labels = []
        for level in self.levels:
            if self._shared(level) is None:
                for y, row in self._changes(network, level):
                    place = x - extent([row.item], self.width).left - 10
                    labels.append(Label(place, y + ROW / 2, f"size {row.side}", "size", "end"))
        return labels

    def _reach(self, network: Traced) -> tuple[float, float]:
        """Return how far a column reaches to the left and to the right of its way."""
        size = extent(network.items, self.width)
        tags = [text.width(tag.text, FONT) - tag.x for tag in self._own_sizes(network, 0)]
        texts = [text.width(network.spec.name, NAME, bold=True)]
        texts += [text.width(label.text, FONT) for label in self._words(network, 0)]
        half = max(texts) / 2
        return max(size.left, half, *tags), max(size.right, half)

    def _words(self, network: Traced, x: float) -> list[Label]:
        """Say what the network is above its column, and what it costs below."""
        spec, top = network.spec, self.top
        channels = "" if spec.in_chans == 3 else f"×{spec.in_chans}"
        return [
            Label(x, top + 8, spec.name, "name"),
            Label(x, top + 27, f"{network.depth} layers", "sub"),
            Label(x, top + 45, f"image {spec.img_size}×{spec.img_size}{channels}", "sub"),
            Label(x, self.foot + 28, f"{amount(network.params)} parameters", "sub"),
            Label(x, self.foot + 45, f"{amount(network.macs)} multiply-adds", "sub"),
        ]

    def _column(self, network: Traced, x: float) -> Column:
        placer = Placer(x, self.width)
        ways: list[Way] = [((x, self.top + 54),)]
        inner = [level for level in self.levels if level != END]
        level, y = -1, 0.0
        for row in network.rows:
            if row.level != level:
                level, y = row.level, self.tops[row.level]
            # The last level has the last hue, whatever lies above it.
            hue = LEVELS - len(inner) + inner.index(level) if level != END else 0
            ways = placer.place(row.item, y, ways, hue % LEVELS)
            y += extent([row.item], self.width).height + GAP
        return Column(
            name=network.spec.name,
            x=x,
            nodes=tuple(placer.nodes),
            wires=tuple(placer.wires),
            arcs=tuple(placer.arcs),
            braces=tuple(placer.braces),
            labels=(*self._words(network, x), *self._own_sizes(network, x)),
        )


def amount(value: int) -> str:
    """Write a count with three digits: 21.8M, 3.66G."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit * 0.9995:
            shown = value / unit
            return f"{shown:.{2 if shown < 9.995 else 1 if shown < 99.95 else 0}f}{name}"
    return str(value)
