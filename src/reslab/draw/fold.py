"""Repeats are drawn once: "× 35" beside the block."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from reslab.draw.layers import LayerGroup
from reslab.draw.structure import Box, Fork, Item, Repeat

LONGEST_PERIOD = 12


def fold(items: Sequence[Item]) -> tuple[Item, ...]:
    """Replace runs of equal items, or of equal groups of items, by one with its count.

    At each place the period that takes up the most items wins, the shortest one among equals.
    """
    keys = [signature(item) for item in items]
    found: list[Item] = []
    place = 0
    while place < len(items):
        period, count = _best(keys, place)
        if count > 1:
            found.append(Repeat(tuple(items[place : place + period]), count))
        else:
            found.append(items[place])
        place += period * count
    return tuple(found)


def _best(keys: Sequence[Hashable], place: int) -> tuple[int, int]:
    best = (1, 1)
    for period in range(1, min(LONGEST_PERIOD, (len(keys) - place) // 2) + 1):
        first, count = keys[place : place + period], 1
        while keys[place + count * period : place + (count + 1) * period] == first:
            count += 1
        if count > 1 and period * count > best[0] * best[1]:
            best = (period, count)
    return best


def signature(item: Item) -> Hashable:
    """Return what two items must share to be drawn as one."""
    match item:
        case Box(layer):
            return _seen(layer)
        case Fork(branches, shortcuts, join):
            return (
                tuple(tuple(signature(inner) for inner in branch) for branch in branches),
                tuple((s.dotted, s.text) for s in shortcuts),
                _seen(join) if join else None,
            )
        case Repeat(inner, count):
            return (count, tuple(signature(one) for one in inner))


def _seen(layer: LayerGroup) -> Hashable:
    return layer.kind, layer.text, layer.shape, layer.tapped


def rows(items: Sequence[Item]) -> int:
    """Count the rows of boxes that items take, one above the other."""
    total = 0
    for item in items:
        match item:
            case Box():
                total += 1
            case Fork(branches, _, join):
                bar = join is not None and (len(branches) > 1 or join.kind == "concat")
                total += max(rows(branch) for branch in branches) + bar
            case Repeat(inner, _):
                total += rows(inner)
    return total
