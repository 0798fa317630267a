"""Gate statistics: how far the gates of highway networks and gated shortcuts are open."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from reslab.analyze.view import Moments, batches, view_of, watched
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.blocks import Gate
from reslab.networks.network import Network

NUM_BINS = 20


@dataclasses.dataclass(frozen=True)
class GateStatistics:
    """One gate g(x): the share of the branch that passes; 1 - g(x) is that of the shortcut.

    Args:
        name: its module.
        mean: over images, channels and positions.
        std: likewise.
        by_channel: mean of each channel over images and positions.
        histogram: shares of all values in 20 bins of equal width from 0 to 1.
    """

    name: str
    mean: float
    std: float
    by_channel: tuple[float, ...]
    histogram: tuple[float, ...]

    __repr__ = short_repr


@dataclasses.dataclass(frozen=True)
class NetworkGates:
    """All gates of a network.

    Args:
        network: its name.
        num_images: how many images they were measured on.
        gates: in the order they run.
    """

    network: str
    num_images: int
    gates: tuple[GateStatistics, ...]

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self)


def gate_statistics(network: Network, images: Tensor, *, batch_size: int = 128) -> NetworkGates:
    """Measure the values of each gate: T(x) of a highway layer, g(x) of a gated shortcut.

    Args:
        network: a network with gates; it stays as it is.
        images: network input, (N, in_chans, H, W).
        batch_size: images at once.

    Raises:
        UsageError: the network has no gates.

    Source: Srivastava et al. 2015 (arXiv 1507.06228), section 4.1 and figure 2; He et al. 2016
    (arXiv 1603.05027), section 3.1.
    """
    view = view_of(network)
    modules = {name: m for name, m in view.named_modules() if isinstance(m, Gate)}
    if not modules:
        raise UsageError(
            f"{network.spec.name} has no gates",
            remedy="take a highway network or one with gated shortcuts, e.g. highway19",
        )
    moments = {name: Moments() for name in modules}
    by_channel: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}

    def look(name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> None:
        values = output.double()
        moments[name].add(values)
        sums = values.sum((0, 2, 3))
        by_channel[name] = sums + by_channel.get(name, torch.zeros_like(sums))
        bins = (values.flatten() * NUM_BINS).long().clamp(0, NUM_BINS - 1)
        counted = torch.bincount(bins, minlength=NUM_BINS)
        counts[name] = counted + counts.get(name, torch.zeros_like(counted))

    with torch.inference_mode(), watched(modules, look):
        for part in batches(view, images, batch_size):
            view(part)
    rows = []
    for name, sums in by_channel.items():
        total = moments[name].count
        means = (sums * len(sums) / total).tolist()
        shares = (counts[name] / total).tolist()
        rows.append(
            GateStatistics(name, moments[name].mean, moments[name].std, tuple(means), tuple(shares))
        )
    return NetworkGates(network.spec.name, len(images), tuple(rows))
