"""What `train --probe` writes down: a network's signal as it stands, a line of probe.jsonl each."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from reslab.analyze.blocks import residual_blocks
from reslab.analyze.dead_units import dead_units
from reslab.analyze.residuals import BlockRatio, residual_ratios
from reslab.analyze.signal import LayerSignal, Signal, StepSignal, signal_by_depth
from reslab.display.short import short_repr
from reslab.errors import CheckpointError
from reslab.networks.network import Network

FILE = "probe.jsonl"


@dataclasses.dataclass(frozen=True)
class Probed:
    """One measurement in the course of a run, with batch statistics.

    Args:
        step: updates done before it.
        epoch: passes over the training images done, with the fraction.
        signal: activations and gradients by depth.
        residuals: the terms of each residual block; empty for a plain network.
        dead: ReLU channels that are zero for all images that were shown.
        channels: ReLU channels in all.
    """

    step: int
    epoch: float
    signal: Signal
    residuals: tuple[BlockRatio, ...]
    dead: int
    channels: int

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; what is not finite is null, so that no run ends by its probe."""
        value: dict[str, Any] = _finite(dataclasses.asdict(self))
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Probed:
        """Rebuild what `to_json` returned."""
        signal = dict(value["signal"])
        signal["layers"] = tuple(LayerSignal(**row) for row in signal["layers"])
        signal["steps"] = tuple(StepSignal(**row) for row in signal["steps"])
        residuals = tuple(BlockRatio(**row) for row in value["residuals"])
        return cls(**{**value, "signal": Signal(**signal), "residuals": residuals})


def probe(network: Network, images: Tensor, labels: Tensor, *, step: int, epoch: float) -> Probed:
    """Measure a network in the course of its training, on one batch.

    Args:
        network: as it stands; it stays so.
        images: network input, (N, in_chans, H, W).
        labels: int64 (N,).
        step: updates done.
        epoch: passes done.
    """
    count = len(images)
    units = dead_units(network, images, statistics="batch", batch_size=count)
    ratios: tuple[BlockRatio, ...] = ()
    if residual_blocks(network):
        ratios = residual_ratios(network, images, statistics="batch", batch_size=count).blocks
    return Probed(
        step=step,
        epoch=epoch,
        signal=signal_by_depth(network, images, labels, statistics="batch", batch_size=count),
        residuals=ratios,
        dead=units.dead,
        channels=units.channels,
    )


def read_probe(run: Path | str) -> tuple[Probed, ...]:
    """Read the measurements of a run that was trained with ``--probe``, in their order.

    A run that is still going may have written half of its last line, which is left out.

    Raises:
        CheckpointError: the run was not probed, or a line is damaged.
    """
    path = Path(run) / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{run} has no {FILE}", remedy="train with --probe to record the signal by depth"
        ) from error
    lines = text.split("\n")[:-1]
    try:
        return tuple(Probed.from_json(json.loads(line)) for line in lines)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
