"""From layers to nested blocks: what runs one after the other, and what side by side.

Where the way forks, its immediate post-dominator is where all branches have met again. Between the
two lie the branches, each of which is a sequence of the same sort.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from reslab.draw.layers import LIGHT, LayerGroup


@dataclasses.dataclass(frozen=True)
class Box:
    """One layer on the way."""

    layer: LayerGroup


@dataclasses.dataclass(frozen=True)
class Shortcut:
    """A branch that is drawn as an arc.

    Args:
        dotted: whether dimensions change along it.
        text: what it does besides, e.g. "1×1" for a projection or "× 0.5"; empty for the identity.
        layers: those on it.
    """

    dotted: bool
    text: str
    layers: tuple[LayerGroup, ...]


@dataclasses.dataclass(frozen=True)
class Fork:
    """Branches side by side, with the shortcuts around them.

    Args:
        branches: those drawn as boxes; at least one.
        shortcuts: those drawn as arcs.
        join: where they meet; None where they end in a join further out.
    """

    branches: tuple[tuple[Item, ...], ...]
    shortcuts: tuple[Shortcut, ...]
    join: LayerGroup | None


@dataclasses.dataclass(frozen=True)
class Repeat:
    """Items that run `count` times, with other weights each time."""

    items: tuple[Item, ...]
    count: int


Item = Box | Fork | Repeat


def items(layers: list[LayerGroup]) -> tuple[Item, ...]:
    """Nest the layers; the image, which comes first, is left out."""
    return tuple(_Nester(layers).sequence([1], len(layers), 0))


class _Nester:
    def __init__(self, layers: list[LayerGroup]) -> None:
        self.layers = layers
        self.next: list[list[int]] = [[] for _ in layers]
        for number, layer in enumerate(layers):
            for source in layer.inputs:
                self.next[source].append(number)
        end = len(layers)
        self.next[-1] = [end]
        self.meets = [end] * (end + 1)  # immediate post-dominators; the end's is itself
        for number in reversed(range(end)):
            self.meets[number] = self._meeting(self.next[number])

    def _meeting(self, numbers: Sequence[int]) -> int:
        """Return the first layer that every way from each of these runs through."""
        first, *rest = numbers
        for other in rest:
            # Numbers run in topological order: whichever is behind steps to its own meeting point
            # (the intersection of Cooper, Harvey and Kennedy 2001, run backwards).
            while first != other:
                if first < other:
                    first = self.meets[first]
                else:
                    other = self.meets[other]
        return first

    def sequence(self, entries: Sequence[int], end: int, source: int) -> list[Item]:
        """Follow the way from `entries` up to `end`, which is not part of it."""
        found: list[Item] = []
        while True:
            if len(entries) == 1:
                number = entries[0]
                if number == end:
                    return found
                if self.layers[number].kind not in LIGHT:
                    found.append(Box(self.layers[number]))
            else:
                number = self._meeting(entries)
                join = self.layers[number] if number != end else None
                found.append(self._fork(entries, number, join, source))
                if join is None:
                    return found
            entries, source = self.next[number], number

    def _fork(self, entries: Sequence[int], end: int, join: LayerGroup | None, source: int) -> Fork:
        branches: list[tuple[Item, ...]] = []
        shortcuts: list[Shortcut] = []
        for group in self._groups(entries, end):
            inside = sorted(self._reach(group, end))
            if len(group) > 1 and self._meeting(group) == end:
                # Branches that cross: drawn in the order they run.
                branches.append(tuple(Box(self.layers[n]) for n in inside))
                continue
            shortcut = self._shortcut([self.layers[n] for n in inside], join, self.layers[source])
            if shortcut is not None:
                shortcuts.append(shortcut)
            else:
                branches.append(tuple(self.sequence(group, end, source)))
        if not branches:  # all of them could be arcs: the one with the most layers is the way
            longest = max(range(len(shortcuts)), key=lambda i: len(shortcuts[i].layers))
            branches.append(tuple(Box(layer) for layer in shortcuts.pop(longest).layers))
        branches.sort(key=_is_gate)  # a gate stands beside the shortcut that it opens
        return Fork(tuple(branches), tuple(shortcuts), join)

    def _groups(self, entries: Sequence[int], end: int) -> list[list[int]]:
        """Put those entries together whose ways touch before the end."""
        groups: list[tuple[list[int], set[int]]] = []
        for entry in entries:
            group, reached = [entry], self._reach([entry], end)
            for other in [g for g in groups if g[1] & reached]:
                groups.remove(other)
                group, reached = [*other[0], *group], other[1] | reached
            groups.append((group, reached))
        return [group for group, _ in groups]

    def _reach(self, entries: Sequence[int], end: int) -> set[int]:
        found: set[int] = set()
        waiting = [n for n in entries if n != end]
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting += [n for n in self.next[number] if n != end]
        return found

    def _shortcut(
        self, inside: list[LayerGroup], join: LayerGroup | None, source: LayerGroup
    ) -> Shortcut | None:
        """Tell whether a branch is a shortcut: nothing, padding, or a projection to a sum."""
        if join is None:
            return None
        heavy = [layer for layer in inside if layer.kind not in (*LIGHT, "scale")]
        said = [layer.text for layer in inside if layer.kind in ("scale", "dropout")]
        if join.kind == "sum" and len(heavy) == 1 and heavy[0].text.startswith("1×1 conv"):
            if heavy[0].gated:
                return None
            said.insert(0, "1×1")
        elif heavy:
            return None
        dotted = join.kind != "concat" and source.shape != join.shape
        return Shortcut(dotted, ", ".join(said), tuple(inside))


def _is_gate(branch: tuple[Item, ...]) -> bool:
    return isinstance(branch[-1], Box) and branch[-1].layer.gated
