"""Whether the statistics that batch norms remember are those of the data at hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn

from reslab.analyze.view import batches, view_of, watched
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.network import Network


@dataclasses.dataclass(frozen=True)
class NormDrift:
    """One batch norm.

    Args:
        name: its module.
        mean_shift: root mean square over channels of (data's mean - remembered mean) in units
            of the remembered deviation.
        log_variance_ratio: root mean square over channels of ln(data's / remembered variance).
        worst_channel: the channel whose mean is farthest off.
    """

    name: str
    mean_shift: float
    log_variance_ratio: float
    worst_channel: int


@dataclasses.dataclass(frozen=True)
class Drift:
    """All batch norms of a network.

    Args:
        network: its name.
        num_images: how many images the data's statistics are of.
        norms: in the order they run.
    """

    network: str
    num_images: int
    norms: tuple[NormDrift, ...]

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self)


def norm_drift(network: Network, images: Tensor, *, batch_size: int = 128) -> Drift:
    """Compare what each batch norm remembers with what it receives from these images.

    The network runs in evaluation mode: each norm sees what the ones before it make of the data
    with their remembered statistics, so that distances add up with depth as they do in use. The
    training images give the drift of the running average itself; other images also that of
    their own distribution.

    Args:
        network: any network with batch norms; it stays as it is.
        images: network input, (N, in_chans, H, W).
        batch_size: images at once.

    Raises:
        UsageError: the network has no batch norm.

    Source: Ioffe and Szegedy 2015 (arXiv 1502.03167), section 3.1, for what is remembered.
    """
    view = view_of(network)
    modules = {name: m for name, m in view.named_modules() if isinstance(m, nn.BatchNorm2d)}
    if not modules:
        raise UsageError(f"{network.spec.name} has no batch norm")
    sums: dict[str, list[Any]] = {}

    def look(name: str, module: nn.Module, x: Tensor, _output: Tensor) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        assert module.running_mean is not None
        # Around the remembered mean the sums stay small, and so does what rounding takes.
        values = (x - module.running_mean[:, None, None]).double().transpose(0, 1).flatten(1)
        kept = sums.setdefault(name, [0, 0.0, 0.0])
        kept[0] += values.shape[1]
        kept[1] = kept[1] + values.sum(1)
        kept[2] = kept[2] + values.square().sum(1)

    with torch.inference_mode(), watched(modules, look):
        for part in batches(view, images, batch_size):
            view(part)
    rows = tuple(_row(name, modules[name], *kept) for name, kept in sums.items())
    return Drift(network.spec.name, len(images), rows)


def _row(name: str, norm: nn.BatchNorm2d, count: int, first: Tensor, second: Tensor) -> NormDrift:
    assert norm.running_var is not None
    remembered = norm.running_var.double() + norm.eps
    shift = first / count
    variance = (second / count - shift.square()).clamp(min=0) + norm.eps
    shifts = shift / remembered.sqrt()
    return NormDrift(
        name=name,
        mean_shift=math.sqrt(float(shifts.square().mean())),
        log_variance_ratio=math.sqrt(float((variance / remembered).log().square().mean())),
        worst_channel=int(shifts.abs().argmax()),
    )
