"""The loss around a trained network, on a plane of filter-normalised directions."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.analyze.view import Progress, Statistics, batches, view_of
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.network import Network
from reslab.networks.surgery import fold_batch_norm

Grid = tuple[tuple[float | None, ...], ...]


@dataclasses.dataclass(frozen=True)
class Surface:
    """Loss and error on a grid, loss[row][column] at beta = axis[row], alpha = axis[column].

    None stands for values that are not finite, and for points that the time did not allow.

    Args:
        network: its name.
        num_images: how many images each point was measured on.
        seed: of the two directions.
        statistics: "running": batch norms keep the trained network's; "batch": each batch's own.
        axis: the coordinates, of both directions; the network itself is at 0, 0.
        loss: mean cross-entropy, nats.
        error_pct: error.
        measured: points that were measured, of len(axis)^2.
    """

    network: str
    num_images: int
    seed: int
    statistics: Statistics
    axis: tuple[float, ...]
    loss: Grid
    error_pct: Grid
    measured: int

    __repr__ = short_repr

    @property
    def complete(self) -> bool:
        """Whether there was time for all points."""
        return self.measured == len(self.axis) ** 2

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self) | {"complete": self.complete}


def loss_surface(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    points: int = 25,
    extent: float = 1.0,
    seed: int = 0,
    statistics: Statistics = "running",
    batch_size: int = 128,
    time_limit_s: float | None = None,
    progress: Progress | None = None,
) -> Surface:
    """L(alpha, beta) = loss(w + alpha d + beta e), with d and e filter-normalised.

    d and e are drawn from N(0, 1) and scaled, filter by filter, to the norms of the weights;
    for biases and batch norms they are zero. So the steps mean the same for networks whose
    weights differ in scale, and two surfaces can be compared side by side. Batch norms keep
    their running statistics, as in the authors' release; with "batch" each batch is normalised
    by itself, which hides what the step does to the scale of the maps.

    Points are measured from the centre outwards, so that a time limit cuts the corners.

    Args:
        network: trained; it stays as it is.
        images: network input, (N, in_chans, H, W): the same few for every point.
        labels: int64 (N,).
        points: on each side of the grid; odd, so that the network itself is one of them.
        extent: the grid goes from -extent to extent in both directions.
        seed: of the directions.
        statistics: what batch norms normalise by.
        batch_size: images at once; with "batch" it is part of what is measured.
        time_limit_s: seconds after which no new point is begun; None for no limit.
        progress: called with (points measured, points in all).

    Raises:
        UsageError: an even number of points, or an extent that is not positive.

    Source: Li et al. 2018 (arXiv 1712.09913), section 4.
    """
    if points < 3 or points % 2 == 0:
        raise UsageError(f"points must be odd and 3 or more, received {points}")
    if not (extent > 0 and math.isfinite(extent)):
        raise UsageError(f"extent must be positive, received {extent}")
    began = time.perf_counter()
    plane = _Plane(network, seed, statistics)
    axis = tuple(extent * (2 * number / (points - 1) - 1) for number in range(points))
    loss: list[list[float | None]] = [[None] * points for _ in axis]
    error: list[list[float | None]] = [[None] * points for _ in axis]
    middle = points // 2
    places = [(row, column) for row in range(points) for column in range(points)]
    # From the middle outwards: when time ends, a disc is left rather than a few whole rows.
    places.sort(key=lambda at: (at[0] - middle) ** 2 + (at[1] - middle) ** 2)
    measured = 0
    for row, column in places:
        if time_limit_s is not None and time.perf_counter() - began > time_limit_s and measured:
            break
        plane.go_to(axis[column], axis[row])
        loss[row][column], error[row][column] = loss_and_error(
            plane.network, images, labels, batch_size
        )
        measured += 1
        if progress is not None:
            progress(measured, points**2)
    return Surface(
        network=network.spec.name,
        num_images=len(images),
        seed=seed,
        statistics=statistics,
        axis=axis,
        loss=tuple(map(tuple, loss)),
        error_pct=tuple(map(tuple, error)),
        measured=measured,
    )


def loss_and_error(
    network: nn.Module, images: Tensor, labels: Tensor, batch_size: int
) -> tuple[float | None, float]:
    """Return mean cross-entropy (None if it is not finite) and error in percent."""
    loss, wrong = 0.0, 0
    with torch.inference_mode():
        for part, part_labels in batches(network, images, batch_size, labels):
            logits = network(part)
            loss += float(F.cross_entropy(logits, part_labels, reduction="sum"))
            wrong += int((logits.argmax(1) != part_labels).sum())
    mean = loss / len(images)
    return (mean if math.isfinite(mean) else None), 100 * wrong / len(images)


def filter_normalised(weights: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Draw d ~ N(0, 1) and scale each filter: d_i <- d_i |w_i| / |d_i|; zero for vectors.

    Args:
        weights: a network's parameters. Filters are what the first dimension counts: of a
            convolution the output channels, of a linear layer the output features.
        generator: on the CPU.

    Source: Li et al. 2018, section 4, "Proposed: Filter-Wise Normalization".
    """
    directions = []
    for weight in weights:
        drawn = torch.randn(weight.shape, generator=generator).to(weight)
        # Biases and batch norms stay, as in the authors' release: a step along them would rescale
        # whole maps, and the surface would show that instead of the filters.
        if weight.dim() < 2:
            directions.append(torch.zeros_like(drawn))
            continue
        # Norms in float64: both surfaces of a comparison hang on their ratio.
        own, wanted = (x.flatten(1).double().norm(dim=1) for x in (drawn, weight))
        scale = (wanted / own.clamp(min=1e-12)).to(drawn)
        directions.append(drawn * scale.view(-1, *[1] * (weight.dim() - 1)))
    return directions


class _Plane:
    """A network that can be moved to w + alpha d + beta e.

    With running statistics batch norms are folded into the convolutions before them: the folded
    weights are linear in the others, and the folded biases do not depend on them.
    """

    def __init__(self, network: Network, seed: int, statistics: Statistics) -> None:
        generator = torch.Generator().manual_seed(seed)
        weights = [p.detach() for p in view_of(network).parameters()]
        directions = [filter_normalised(weights, generator) for _ in range(2)]
        self.network = _computed(network, weights, statistics)
        self._origin = _matrices(self.network, copied=True)
        self._first, self._second = (
            _matrices(_computed(network, direction, statistics)) for direction in directions
        )

    @torch.no_grad()
    def go_to(self, alpha: float, beta: float) -> None:
        """Set the weights to w + alpha d + beta e."""
        for now, w, d, e in zip(
            _matrices(self.network), self._origin, self._first, self._second, strict=True
        ):
            # From the origin each time, for sums of many steps would drift.
            now.copy_(w + alpha * d + beta * e)


def _computed(network: Network, weights: Sequence[Tensor], statistics: Statistics) -> Network:
    """Build the form that is run, with other weights for its convolutions and linear layers."""
    view = view_of(network, own_tensors=True, statistics=statistics)
    for parameter, weight in zip(view.parameters(), weights, strict=True):
        if weight.dim() > 1:
            parameter.data.copy_(weight)
    if statistics == "running":
        view = fold_batch_norm(view)
    return view.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _matrices(network: Network, *, copied: bool = False) -> list[Tensor]:
    kept = [p.detach() for p in network.parameters() if p.dim() > 1]
    return [p.clone() for p in kept] if copied else kept
