"""ReLU units that never answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from reslab.analyze.view import Statistics, batches, view_of, watched
from reslab.display.short import short_repr
from reslab.networks.network import Network


@dataclasses.dataclass(frozen=True)
class Activation:
    """One ReLU.

    Args:
        name: its module.
        channels: how many maps (or features) it puts out.
        dead: those that are zero everywhere for all images.
        zero_share: share of all values that are zero.
    """

    name: str
    channels: int
    dead: int
    zero_share: float


@dataclasses.dataclass(frozen=True)
class DeadUnits:
    """All ReLUs of a network.

    Args:
        network: its name.
        num_images: how many images were shown; with few, more units seem dead.
        activations: in the order they run.
    """

    network: str
    num_images: int
    activations: tuple[Activation, ...]

    __repr__ = short_repr

    @property
    def dead(self) -> int:
        """Dead channels in all."""
        return sum(activation.dead for activation in self.activations)

    @property
    def channels(self) -> int:
        """Channels in all."""
        return sum(activation.channels for activation in self.activations)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self) | {"dead": self.dead, "channels": self.channels}


def dead_units(
    network: Network,
    images: Tensor,
    *,
    statistics: Statistics = "running",
    batch_size: int = 128,
) -> DeadUnits:
    """Count the channels of each ReLU that are zero at every position of every image.

    Such a channel hands no gradient on: it stays dead on these images.

    Args:
        network: any network; it stays as it is.
        images: network input, (N, in_chans, H, W); the more, the surer.
        statistics: what batch norms normalise by.
        batch_size: images at once.
    """
    view = view_of(network, statistics=statistics)
    alive: dict[str, Tensor] = {}
    zeros: dict[str, int] = {}
    counts: dict[str, int] = {}

    def look(name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> None:
        positive = output > 0
        answered = positive.transpose(0, 1).flatten(1).any(1)
        alive[name] = answered | alive.get(name, torch.zeros_like(answered))
        zeros[name] = zeros.get(name, 0) + output.numel() - int(positive.sum())
        counts[name] = counts.get(name, 0) + output.numel()

    modules = {name: m for name, m in view.named_modules() if isinstance(m, nn.ReLU)}
    with torch.inference_mode(), watched(modules, look):
        for part in batches(view, images, batch_size):
            view(part)
    rows = (
        Activation(name, len(seen), int((~seen).sum()), zeros[name] / counts[name])
        for name, seen in alive.items()
    )
    return DeadUnits(network.spec.name, len(images), tuple(rows))
