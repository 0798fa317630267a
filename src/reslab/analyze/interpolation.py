"""The straight line between two trained networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from reslab import networks
from reslab.analyze.landscape import loss_and_error
from reslab.analyze.view import Progress, batches, view_of
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.network import Network

PathStatistics = Literal["interpolated", "recomputed"]
ALPHAS = tuple(number / 20 for number in range(21))


@dataclasses.dataclass(frozen=True)
class PathPoint:
    """One network on the line.

    Args:
        alpha: 0 for the first network, 1 for the second.
        loss: mean cross-entropy, nats; None where it is not finite.
        error_pct: error.
    """

    alpha: float
    loss: float | None
    error_pct: float


@dataclasses.dataclass(frozen=True)
class LinearPath:
    """Loss and error along the line.

    Args:
        network: name of both networks.
        num_images: how many images each point was measured on.
        statistics: "interpolated": batch norms' statistics too lie on the line; "recomputed":
            measured anew at each point.
        points: in the order of the alphas.
    """

    network: str
    num_images: int
    statistics: PathStatistics
    points: tuple[PathPoint, ...]

    __repr__ = short_repr

    @property
    def barrier(self) -> float | None:
        """Greatest loss above the line from the first point's loss to the last one's; not
        negative; None where a loss is not finite.
        """
        losses = [point.loss for point in self.points]
        first, last, start = losses[0], losses[-1], self.points[0].alpha
        length = self.points[-1].alpha - start
        heights = [0.0]
        for point in self.points:
            if point.loss is None or first is None or last is None or not length:
                return None
            share = (point.alpha - start) / length
            heights.append(point.loss - (1 - share) * first - share * last)
        return max(heights)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self) | {"barrier": self.barrier}


def linear_path(
    first: Network,
    second: Network,
    images: Tensor,
    labels: Tensor,
    *,
    alphas: Sequence[float] = ALPHAS,
    statistics: PathStatistics = "interpolated",
    calibration: Tensor | None = None,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> LinearPath:
    """L(alpha) = loss((1 - alpha) a + alpha b) between the weights a and b of two networks.

    Where the line stays low the two are in one basin; two runs from different seeds usually
    are not. Statistics of batch norms between the two fit neither: recomputed ones show what
    the weights themselves can do.

    Args:
        first: at alpha 0; it stays as it is.
        second: at alpha 1, with the same specification; it stays as it is.
        images: network input, (N, in_chans, H, W).
        labels: int64 (N,).
        alphas: where to measure, increasing.
        statistics: what batch norms normalise by.
        calibration: training images to recompute statistics with; None for `images`.
        batch_size: images at once.
        progress: called with (points measured, points in all).

    Raises:
        UsageError: networks of different specifications, or no alphas.

    Source: Goodfellow, Vinyals and Saxe 2015 (arXiv 1412.6544), section 3; Frankle et al. 2020
    (arXiv 1912.05671), section 2, for the barrier; Izmailov et al. 2018 (arXiv 1803.05407),
    section 3.2, for recomputed statistics.
    """
    if not on_one_line(first.spec, second.spec):
        raise UsageError(
            f"{first.spec.name} and {second.spec.name} are not of one specification",
            remedy="take two runs of the same network on the same data",
        )
    if not alphas or list(alphas) != sorted(set(alphas)):
        raise UsageError(f"alphas must increase, received {list(alphas)}")
    view, ends = view_of(first, own_tensors=True), (first.state_dict(), second.state_dict())
    found = []
    for number, alpha in enumerate(alphas, start=1):
        for name, value in view.state_dict().items():
            a, b = (end[name].to(value.device) for end in ends)
            # Not a + alpha (b - a): at 0 and 1 these are the two networks to the last bit.
            value.copy_((1 - alpha) * a + alpha * b if value.is_floating_point() else a)
        if statistics == "recomputed":
            recompute_statistics(view, images if calibration is None else calibration, batch_size)
        found.append(PathPoint(alpha, *loss_and_error(view, images, labels, batch_size)))
        if progress is not None:
            progress(number, len(alphas))
    return LinearPath(first.spec.name, len(images), statistics, tuple(found))


def on_one_line(first: networks.NetworkSpec, second: networks.NetworkSpec) -> bool:
    """Tell whether two networks have the same weights, name for name: all but their own names."""
    return networks.replace(first, name=second.name) == second


def recompute_statistics(network: nn.Module, images: Tensor, batch_size: int) -> None:
    """Set the statistics of all batch norms to the mean of those of the batches, in place."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    kept = [(norm.momentum, norm.training) for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # every batch counts the same
            norm.train()
        with torch.no_grad():
            for part in batches(network, images, batch_size):
                network(part)
    finally:
        for norm, (momentum, training) in zip(norms, kept, strict=True):
            norm.momentum, norm.training = momentum, training
