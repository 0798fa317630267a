"""Whether the blocks of a file are built like those of a network, whatever is missing."""

from __future__ import annotations

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
    starts = [start for start in map(_common, blocks.values()) if start]
    needed = _by_layer((name for names in blocks.values() for name in names), starts)
    wrong = {sentence.partition(" is ")[0] for sentence in found.misshapen}
    for names in needed:
        if not any(name in found.tensors for name in names):
            return f"its blocks have no {names[0]}"
        if not any(name in found.tensors and name not in wrong for name in names):
            return f"its blocks have {names[0]} and its like in other shapes"
    surplus = _by_layer(found.unplaced, starts)
    return f"its blocks have a {surplus[0][0]}" if surplus else ""


def _by_layer(names: Iterable[str], starts: list[str]) -> list[list[str]]:
    """Group names by the layer of a block, whichever block; those that several blocks have."""
    found: dict[str, list[str]] = {}
    for name in names:
        start = next((start for start in starts if name.startswith(start)), None)
        if start is not None:
            found.setdefault(name.removeprefix(start), []).append(name)
    return [group for group in found.values() if len(group) >= SEVERAL]


def _common(names: list[str]) -> str:
    """Return what the names of a block begin with, up to a dot."""
    common = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(f"{parts[0]}.")
    return "".join(common)
