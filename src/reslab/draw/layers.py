"""From operations to what a drawing shows: one box for convolution, norm and activation."""

from __future__ import annotations

import dataclasses
from typing import Literal

from reslab.draw.graph import Graph, Op

GroupKind = Literal[
    "image", "conv", "fc", "pool", "pill", "concat", "sum", "gate", "pad", "dropout"
]
JOINS = ("concat", "sum", "gate")
LIGHT = ("pad", "dropout")  # nothing is drawn for them on the main path
_SAME = {
    "image": "image", "conv": "conv", "linear": "fc", "pool": "pool", "pad": "pad",
    "dropout": "dropout", "concat": "concat", "other": "pill", "norm": "pill", "act": "pill",
    "scale": "scale",
}  # fmt: skip


@dataclasses.dataclass
class LayerGroup:
    """What becomes one box, one bar or one meeting point.

    Args:
        kind: how it is drawn; a "pill" is a norm or activation of its own.
        text: its label.
        shape: of its result, (channels, height, width) or (features,).
        inputs: numbers of the layers it takes, each once.
        parts: the operations in it with a name or parameters, for the tooltip.
        gated: whether a sigmoid ends it.
        tapped: whether an auxiliary head looks at its result.
    """

    kind: GroupKind
    text: str
    shape: tuple[int, ...]
    inputs: tuple[int, ...]
    parts: list[Op] = dataclasses.field(default_factory=list)
    gated: bool = False
    tapped: bool = False

    @property
    def side(self) -> int:
        """The side of its result; 1 for a vector."""
        return self.shape[1] if len(self.shape) == 3 else 1

    @property
    def weighted(self) -> bool:
        """Whether it is what papers count as a layer."""
        return self.kind in ("conv", "fc")


def layers(graph: Graph) -> list[LayerGroup]:
    """Merge norms and activations into the layer they follow, and sums into one meeting point.

    A norm or an activation between a meeting point and one of several consumers stays on its own
    (pre-activation). Layers that only auxiliary heads need are left out.
    """
    return _Merger(graph).run()


class _Merger:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.wanted = _ancestors(graph.ops, graph.logits)
        self.consumers: dict[int, list[int]] = {}
        for number in sorted(self.wanted):
            for source in graph.ops[number].inputs:
                self.consumers.setdefault(source, []).append(number)
        self.cluster = self._clusters()
        self.of: dict[int, int] = {}  # operation -> layer
        self.layers: list[LayerGroup] = []

    def run(self) -> list[LayerGroup]:
        for number in sorted(self.wanted):
            self._take(number, self.graph.ops[number])
        for head in self.graph.auxiliary:
            for number in sorted(_ancestors(self.graph.ops, head) - self.wanted):
                for source in self.graph.ops[number].inputs:
                    if source in self.wanted:
                        self.layers[self.of[source]].tapped = True
        return self.layers

    def _clusters(self) -> dict[int, int]:
        """Map each sum or product to the last one of those that nothing else sees."""
        cluster: dict[int, int] = {}
        # Backwards, so that the cluster of every consumer is known before it is asked for.
        for number in sorted(self.wanted, reverse=True):
            if self.graph.ops[number].kind == "pointwise":
                ends = {cluster.get(c) for c in self.consumers.get(number, [])}
                end = ends.pop() if len(ends) == 1 else None
                cluster[number] = number if end is None else end
        return cluster

    def _take(self, number: int, op: Op) -> None:
        if op.kind == "pointwise":
            self._take_pointwise(number, op)
            return
        inputs = tuple(dict.fromkeys(self.of[i] for i in op.inputs))
        into = self._host(op, inputs)
        if into is None:
            kind: GroupKind = _SAME[op.kind]  # type: ignore[assignment]
            text = f"concat, {op.shape[0]}" if kind == "concat" else op.text
            self._add(number, LayerGroup(kind, text, op.shape, inputs, [op]))
            return
        layer = self.layers[into]
        layer.parts.append(op)
        if layer.kind == "pill":
            layer.text += f", {op.text}"
        if op.text == "σ" and layer.kind != "pill":
            layer.text, layer.gated = f"{layer.text}, σ", True
        self.of[number] = into

    def _host(self, op: Op, inputs: tuple[int, ...]) -> int | None:
        """Return the layer that a norm or an activation belongs to, if any."""
        if op.kind not in ("norm", "act") or len(self.consumers[op.inputs[0]]) != 1:
            return None
        kind = self.layers[inputs[0]].kind
        if kind in ("conv", "fc", "pill"):
            return inputs[0] if op.text != "LRN" else None
        return inputs[0] if kind in JOINS and op.kind == "act" else None

    def _take_pointwise(self, number: int, op: Op) -> None:
        """Make one meeting point of a cluster; one input alone is only scaled."""
        if self.cluster[number] != number:
            return
        members = [n for n, end in self.cluster.items() if end == number]
        outer = sorted(
            {i for n in members for i in self.graph.ops[n].inputs if self.cluster.get(i) != number}
        )
        inputs = tuple(dict.fromkeys(self.of[i] for i in outer))
        if len(inputs) == 1:
            self.of[number] = inputs[0]
            return
        products = [n for n in members if self.graph.ops[n].text == "mul"]
        gated = any(len(self.graph.ops[n].inputs) > 1 for n in products)
        kind: GroupKind = "gate" if gated else "sum"
        self._add(number, LayerGroup(kind, "gate" if gated else "+", op.shape, inputs, [op]))

    def _add(self, number: int, layer: LayerGroup) -> None:
        self.layers.append(layer)
        self.of[number] = len(self.layers) - 1


def _ancestors(ops: tuple[Op, ...], last: int) -> set[int]:
    found, waiting = {last}, [last]
    while waiting:
        for source in ops[waiting.pop()].inputs:
            if source not in found:
                found.add(source)
                waiting.append(source)
    return found


def depth(found: list[LayerGroup]) -> int:
    """Count the weighted layers on the longest way from the image to the logits."""
    longest: list[int] = []
    for layer in found:
        before = max((longest[i] for i in layer.inputs), default=0)
        longest.append(before + layer.weighted)
    return longest[-1]
