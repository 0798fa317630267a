"""What each layer of a network costs: parameters, arithmetic, memory and measured time."""

from __future__ import annotations

import dataclasses
import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from reslab.analyze.view import batches, view_of, watched
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.cost import describe, measure
from reslab.networks.network import Network, build


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """One module without children.

    Args:
        name: its module.
        kind: what it is, e.g. "conv 3x3 / 2".
        output_shape: without the batch.
        params: its trainable values.
        params_share: their share of the network's.
        macs: its multiply-adds for one image.
        activation_bytes: of its output for one image, float32.
        receptive_field: side of the square of input pixels that one output value depends on;
            0 for the whole image; None for layers without weights that keep the shape.
        time_s: median time of one forward pass of a batch through it; None if not measured.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    params: int
    params_share: float
    macs: int
    activation_bytes: int
    receptive_field: int | None
    time_s: float | None


@dataclasses.dataclass(frozen=True)
class LayerCosts:
    """All layers of a network.

    Args:
        network: its name.
        params: trainable values of the whole network.
        macs: multiply-adds for one image.
        layers: in the order they run.
        batch_size: images in a timed pass; 0 if not measured.
        repeats: timed passes.
        time_s: median time of the whole pass without the measurement of layers; what is more
            than their sum is spent between them (additions, memory).
    """

    network: str
    params: int
    macs: int
    layers: tuple[LayerCost, ...]
    batch_size: int
    repeats: int
    time_s: float | None

    __repr__ = short_repr

    @property
    def largest(self) -> LayerCost:
        """The layer with the most parameters."""
        return max(self.layers, key=lambda layer: layer.params)

    @property
    def activation_bytes(self) -> int:
        """The sum over the layers' outputs, for one image: about what training keeps."""
        return sum(layer.activation_bytes for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self) | {
            "largest": self.largest.name,
            "activation_bytes": self.activation_bytes,
        }


def layer_costs(network: Network, images: Tensor | None = None, *, repeats: int = 5) -> LayerCosts:
    """List what each layer costs, for images of the size of the specification.

    Parameters, multiply-adds and shapes are measured on torch's meta device; the network may be
    there itself. Times need images: one batch, run `repeats` times after one to warm up, in
    evaluation mode. They are of this machine, as it is now.

    Args:
        network: any network; it stays as it is.
        images: the batch to time, (B, in_chans, H, W); None for no times.
        repeats: timed passes, of which the median counts.

    Raises:
        UsageError: fewer than one repeat.
    """
    if repeats < 1:
        raise UsageError(f"repeats must be 1 or more, received {repeats}")
    cost = measure(network.spec)
    known = {layer.name: layer for layer in cost.layers}
    shapes, kinds = _shapes(network)
    times: dict[str, list[float]] = {}
    whole: list[float] = []
    if images is not None:
        times, whole = _times(network, images, repeats)
    rows = []
    for name, shape in shapes.items():
        layer = known.get(name)
        size = torch.Size(shape).numel()
        rows.append(
            LayerCost(
                name=name,
                kind=kinds[name],
                output_shape=shape,
                params=layer.params if layer else 0,
                params_share=(layer.params if layer else 0) / max(1, cost.params),
                macs=layer.macs if layer else 0,
                activation_bytes=size * torch.float32.itemsize,
                receptive_field=layer.receptive_field if layer else None,
                time_s=statistics.median(times[name]) if times else None,
            )
        )
    return LayerCosts(
        network=network.spec.name,
        params=cost.params,
        macs=cost.macs,
        layers=tuple(rows),
        batch_size=0 if images is None else len(images),
        repeats=0 if images is None else repeats,
        time_s=statistics.median(whole) if whole else None,
    )


def _leaves(view: nn.Module) -> dict[str, nn.Module]:
    """Return the modules without children that compute something."""
    return {
        name: module
        for name, module in view.named_modules()
        if next(module.children(), None) is None
        and not isinstance(module, nn.Identity | nn.Dropout)
    }


def _shapes(network: Network) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Run a copy on the meta device; returns output shapes and kinds, in the order they run."""
    with torch.device("meta"):
        view, spec = build(network.spec).eval(), network.spec
        image = torch.empty(1, spec.in_chans, spec.img_size, spec.img_size)
    shapes: dict[str, tuple[int, ...]] = {}
    kinds: dict[str, str] = {}

    def look(name: str, module: nn.Module, _x: Tensor, output: Tensor) -> None:
        shapes[name], kinds[name] = tuple(output.shape[1:]), describe(module)

    with torch.no_grad(), watched(_leaves(view), look):
        view(image)
    return shapes, kinds


def _times(
    network: Network, images: Tensor, repeats: int
) -> tuple[dict[str, list[float]], list[float]]:
    """Return the seconds of each leaf in each pass, and those of passes without looking."""
    view = view_of(network)
    batch = next(batches(view, images, len(images)))
    leaves = _leaves(view)
    found: dict[str, list[float]] = {name: [] for name in leaves}
    began: dict[str, float] = {}

    def now() -> float:
        if batch.is_cuda:
            torch.cuda.synchronize(batch.device)
        return time.perf_counter()

    def start(name: str) -> Any:
        return lambda _module, _inputs: began.__setitem__(name, now())

    def end(name: str) -> Any:
        return lambda _module, _inputs, _output: found[name].append(now() - began[name])

    whole = []
    with torch.inference_mode():
        view(batch)
        for _ in range(repeats):
            before = now()
            view(batch)
            whole.append(now() - before)
        handles = [module.register_forward_pre_hook(start(name)) for name, module in leaves.items()]
        handles += [module.register_forward_hook(end(name)) for name, module in leaves.items()]
        try:
            for _ in range(repeats):
                view(batch)
        finally:
            for handle in handles:
                handle.remove()
    return found, whole
