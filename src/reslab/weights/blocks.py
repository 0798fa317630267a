"""Whether the blocks of a file are built like those of a network, whatever is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from reslab.weights.recognise import Fit

# A layer that only one block has may be an oddity; in several it is how the network is built.
SEVERAL = 2


def other_blocks(found: Fit) -> str:
    """Say how the blocks of a file differ from those of the network that it is nearest to.

    A network whose blocks have no projections, or a squeeze-and-excitation that ours has not, is
    another network, however many tensors are the same: no share of ours computes what it does.

    Returns:
        A clause such as "its blocks have a layer1.0.se.fc1.weight", or nothing.
    """
    keys = found.layout.keys(found.network)
    parameters = {name for name, _ in found.network.named_parameters()}
    blocks: dict[str, list[str]] = {}
    for ours, theirs in keys.items():
        if ours in parameters and ours.startswith("stages."):
            blocks.setdefault(".".join(ours.split(".")[:3]), []).append(theirs)
    needed = [name for names in blocks.values() for name in names]
    there = set(map(_kind, found.tensors))
    lacking = next((name for name in needed if _kind(name) not in there), None)
    if lacking is not None:
        return f"its blocks have no {lacking}"
    surplus = _inside(found.unplaced, map(_common, blocks.values()))
    counted = Counter(map(_kind, surplus))
    several = next((name for name in surplus if counted[_kind(name)] >= SEVERAL), None)
    return "" if several is None else f"its blocks have a {several}"


def _inside(names: Iterable[str], blocks: Iterable[str]) -> list[str]:
    starts = tuple(block for block in blocks if block)
    return [name for name in names if name.startswith(starts)]


def _common(names: list[str]) -> str:
    """Return what the names of a block begin with, up to a dot."""
    common = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(f"{parts[0]}.")
    return "".join(common)


def _kind(name: str) -> str:
    """Return a name without its numbers."""
    return re.sub(r"\d+", "#", name)
