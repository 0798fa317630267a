"""From a specification to what is drawn of it."""

from __future__ import annotations

import dataclasses
import math

import torch

from reslab.display.short import short_repr
from reslab.draw.fold import fold, rows
from reslab.draw.graph import trace
from reslab.draw.layers import LayerGroup, depth, layers
from reslab.draw.structure import Box, Fork, Item, Repeat, items
from reslab.networks import NetworkSpec
from reslab.networks.cost import measure
from reslab.networks.network import build

MOST_ROWS = 60  # a taller network is folded unless asked otherwise
END = 99  # the level of vectors


@dataclasses.dataclass(frozen=True)
class TracedRow:
    """An item on the main way.

    Args:
        item: one layer, a block, or a repeated run of them.
        side: of the map that leaves it; 1 for a vector.
        level: how often the image was halved up to there, to the nearest whole number; END for
            vectors. Rows of one level begin at the same height in all columns.
    """

    item: Item
    side: int
    level: int


@dataclasses.dataclass(frozen=True)
class Traced:
    """A network as it is drawn.

    Args:
        spec: the network.
        rows: from the image to the logits.
        depth: weighted layers on the longest way.
        params: trainable values.
        macs: multiply-adds for one image.
    """

    spec: NetworkSpec
    rows: tuple[TracedRow, ...]
    depth: int
    params: int
    macs: int

    __repr__ = short_repr

    @property
    def items(self) -> tuple[Item, ...]:
        """The items of all rows."""
        return tuple(row.item for row in self.rows)


def traced(spec: NetworkSpec, folded: bool | None = None) -> Traced:
    """Build a network on the meta device and find out what it is made of.

    Args:
        spec: the network.
        folded: whether repeats become one item; None where it would be very tall otherwise.

    Raises:
        UsageError: the image size is less than the network can take.
    """
    with torch.device("meta"):
        network = build(spec)
    found = layers(trace(network))
    nested = items(found)
    if folded or (folded is None and rows(nested) > MOST_ROWS):
        nested = fold(nested)
    cost = measure(spec)
    return Traced(
        spec=spec,
        rows=tuple(_row(spec, item) for item in nested),
        depth=depth(found),
        params=cost.params,
        macs=cost.macs,
    )


def _row(spec: NetworkSpec, item: Item) -> TracedRow:
    side = last(item).side
    return TracedRow(item, side, round(math.log2(spec.img_size / side)) if side > 1 else END)


def last(item: Item) -> LayerGroup:
    """Return the layer that an item ends with."""
    match item:
        case Box(layer):
            return layer
        case Repeat(inner, _):
            return last(inner[-1])
        case Fork(branches, _, join):
            return join if join is not None else last(branches[0][-1])
