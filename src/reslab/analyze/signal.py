"""How the signal and its gradient travel through the layers of a network."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.analyze.blocks import steps_of
from reslab.analyze.view import Statistics, batches, view_of, watched
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.network import Network


@dataclasses.dataclass(frozen=True)
class LayerSignal:
    """One convolution or linear layer.

    Args:
        name: its module.
        activation_rms: root mean square of what it puts out.
        weight_norm: |W|.
        weight_gradient_norm: |d loss / d W|.
    """

    name: str
    activation_rms: float | None
    weight_norm: float
    weight_gradient_norm: float | None


@dataclasses.dataclass(frozen=True)
class StepSignal:
    """The stem or one block: a point between them that every path crosses.

    Args:
        name: its module.
        activation_rms: root mean square of what it puts out.
        gradient_norm: |d loss / d output| over all images.
    """

    name: str
    activation_rms: float | None
    gradient_norm: float | None


@dataclasses.dataclass(frozen=True)
class Signal:
    """A network's signal by depth; None stands for values that are not finite.

    Args:
        network: its name.
        num_images: how many images it was measured on.
        statistics: "running" or "batch": what batch norms normalised by.
        loss: mean cross-entropy, nats.
        layers: convolutions and linear layers in the order they run.
        steps: stem and blocks in the order they run.
    """

    network: str
    num_images: int
    statistics: Statistics
    loss: float | None
    layers: tuple[LayerSignal, ...]
    steps: tuple[StepSignal, ...]

    __repr__ = short_repr

    @property
    def gradient_ratio(self) -> float | None:
        """|gradient| behind the stem over |gradient| behind the last block.

        1 where it arrives as it left, near 0 where it vanishes on its way back.
        """
        first, last = self.steps[0].gradient_norm, self.steps[-1].gradient_norm
        return first / last if first is not None and last else None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self) | {"gradient_ratio": self.gradient_ratio}


def signal_by_depth(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    statistics: Statistics = "running",
    batch_size: int = 128,
) -> Signal:
    """Measure activations and gradients of the mean cross-entropy, from stem to logits.

    Dropout is off. With batch statistics each batch is normalised by itself, as in training,
    and nothing is remembered; so an untrained network is measured, whose running statistics
    mean nothing yet. The identity chain of a residual network hands a gradient on as it is; a
    plain network's has to come through every layer (compare the steps of both).

    Args:
        network: any network with a classifier; it stays as it is, gradients included.
        images: network input, (N, in_chans, H, W).
        labels: int64 (N,).
        statistics: what batch norms normalise by.
        batch_size: images at once.

    Raises:
        UsageError: the network has no classifier.

    Source: He et al. 2015 (arXiv 1512.03385), section 4.1 ("the backward propagated gradients
    exhibit healthy norms"); He et al. 2016 (arXiv 1603.05027), equation 5.
    """
    if not network.num_classes:
        raise UsageError(f"{network.spec.name} has no classifier and so no loss")
    view = view_of(network, statistics=statistics).requires_grad_(True)
    layers = {n: m for n, m in view.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    steps = {n: m for n, m in steps_of(view).items() if n != "head"}
    squares, counts, gradients = {}, {}, {}  # type: ignore[var-annotated]

    def look(name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> None:
        squares[name] = squares.get(name, 0.0) + float(output.detach().double().square().sum())
        counts[name] = counts.get(name, 0) + output.numel()

    def look_back(name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> None:
        def add(gradient: Tensor) -> None:
            gradients[name] = gradients.get(name, 0.0) + float(gradient.double().square().sum())

        output.register_hook(add)

    loss = 0.0
    with torch.enable_grad(), watched(layers | steps, look), watched(steps, look_back):
        for part, part_labels in batches(view, images, batch_size, labels):
            share = F.cross_entropy(view(part), part_labels, reduction="sum") / len(images)
            share.backward()
            loss += float(share.detach())
    rms = {name: _finite(math.sqrt(squares[name] / counts[name])) for name in squares}
    return Signal(
        network=network.spec.name,
        num_images=len(images),
        statistics=statistics,
        loss=_finite(loss),
        layers=tuple(_layer(name, layers[name], rms[name]) for name in squares if name in layers),
        steps=tuple(
            StepSignal(name, rms[name], _finite(math.sqrt(gradients[name]))) for name in steps
        ),
    )


def _layer(name: str, module: nn.Module, rms: float | None) -> LayerSignal:
    weight = module.weight
    assert isinstance(weight, Tensor)
    assert weight.grad is not None
    return LayerSignal(
        name=name,
        activation_rms=rms,
        weight_norm=float(weight.detach().double().norm()),
        weight_gradient_norm=_finite(float(weight.grad.double().norm())),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
