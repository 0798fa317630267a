"""What flows into what: the operations of one forward pass, seen on the meta device.

The network runs once on tensors without values. Layers of torch are seen through hooks, all other
operations one by one as they are dispatched, so that a network of any family gives its layers and
the places where branches meet, and none needs drawing code of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from reslab.display.short import short_repr
from reslab.draw.naming import OpKind, by_name, describe_call, describe_layer
from reslab.networks.network import Network

_MOVES = {"transpose", "permute"}


@dataclasses.dataclass(frozen=True)
class Op:
    """One operation on feature maps.

    Args:
        kind: what it does.
        text: what a drawing calls it.
        inputs: numbers of the operations whose results it takes.
        shape: of its result, without the batch: (channels, height, width) or (features,).
        module: the layer it belongs to, as in the state dictionary; may be empty.
        params: trainable values of that layer.
    """

    kind: OpKind
    text: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    module: str = ""
    params: int = 0


@dataclasses.dataclass(frozen=True)
class Graph:
    """A network's operations in the order they run.

    Args:
        ops: the first one is the image; inputs come before what takes them.
        logits: number of the operation that puts out the logits.
        auxiliary: the same for each auxiliary head.
    """

    ops: tuple[Op, ...]
    logits: int
    auxiliary: tuple[int, ...]

    __repr__ = short_repr


def trace(network: Network) -> Graph:
    """Run a network that lies on the meta device on one image of its size."""
    spec = network.spec
    recorder = Recorder()
    with torch.device("meta"):
        image = torch.empty(1, spec.in_chans, spec.img_size, spec.img_size)
    recorder.add("image", "image", image, [])
    hooks = [
        hook
        for name, module in network.named_modules()
        if next(module.children(), None) is None
        for hook in recorder.observe(name, module)
    ]
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad(), recorder:
            outputs = network.training_logits(image)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    logits, *auxiliary = (recorder.source(output) for output in outputs)
    return Graph(tuple(recorder.ops), logits, tuple(auxiliary))


class Recorder(TorchDispatchMode):
    """Notes the operations that depend on the image.

    Layers of torch count as one operation. So does a layer of ours without children, unless it
    convolves or takes several maps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self._sources: dict[int, int] = {}
        self._alive: list[torch.Tensor] = []
        self._inside = 0
        self._moved = False

    def source(self, tensor: torch.Tensor) -> int:
        """Return the number of the operation that made a tensor."""
        return self._sources[id(tensor)]

    def add(
        self,
        kind: OpKind,
        text: str,
        output: torch.Tensor,
        inputs: Sequence[int],
        module: str = "",
        params: int = 0,
    ) -> None:
        """Note an operation and its result."""
        shape = tuple(output.shape[1:])
        self.ops.append(Op(kind, text, tuple(dict.fromkeys(inputs)), shape, module, params))
        self._mark(output, len(self.ops) - 1)

    def _mark(self, tensor: torch.Tensor, source: int) -> None:
        self._sources[id(tensor)] = source
        self._alive.append(tensor)  # so that its identity stays its own

    def observe(self, name: str, module: nn.Module) -> list[Any]:
        """Hook a layer without children."""
        known = type(module).__module__.startswith("torch.nn")
        before = [0]

        def begin(_module: nn.Module, _inputs: object) -> None:
            before[0] = len(self.ops)
            self._moved = False
            self._inside += known

        def end(_module: nn.Module, inputs: Any, output: Any) -> Any:
            self._inside -= known
            if len(inputs) != 1 or not isinstance(output, torch.Tensor):
                return None
            inner = self.ops[before[0] :]
            if not known and any(op.kind in ("conv", "linear") for op in inner):
                self.ops[before[0] :] = [dataclasses.replace(op, module=name) for op in inner]
                return None
            if known:
                described = describe_layer(module, inputs[0], output)
            elif len(inner) == 1:
                described = inner[0].kind, inner[0].text
            elif inner or self._moved:
                described = by_name(module)
            else:
                return None
            if described is None:
                if output is not inputs[0]:
                    self._mark(output, self.source(inputs[0]))
                return None
            del self.ops[before[0] :]
            # A layer may hand its input on; its result needs an identity of its own.
            fresh = output.view_as(output)
            params = sum(p.numel() for p in module.parameters() if p.requires_grad)
            self.add(*described, fresh, [self.source(inputs[0])], name, params)
            return fresh

        return [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and note it if it is more than a view."""
        outputs = func(*args, **(kwargs or {}))
        inputs = [t for t in _tensors(args) if id(t) in self._sources]
        if self._inside or not inputs:
            return outputs
        results = _tensors(outputs if isinstance(outputs, tuple | list) else [outputs])
        name = func._schema.name.removeprefix("aten::").removesuffix("_")
        self._moved |= name in _MOVES
        sources = [self.source(t) for t in inputs]
        described = describe_call(name, args, inputs, results[0])
        if described is not None:
            self.add(*described, results[0], sources)
        else:
            for result in results:
                self._mark(result, sources[0])
        return outputs


def _tensors(values: Sequence[Any]) -> list[torch.Tensor]:
    """List the tensors among values, one level of lists deep."""
    tensors = []
    for value in values:
        inner = value if isinstance(value, list | tuple) else [value]
        tensors += [v for v in inner if isinstance(v, torch.Tensor)]
    return tensors
