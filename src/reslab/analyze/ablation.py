"""Ablation (lesions): what a network loses with each block, deleted or swapped with the next."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.analyze.blocks import Unit, steps_of, units_of
from reslab.analyze.view import Progress, batches, view_of
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.network import Network
from reslab.networks.surgery import fold_batch_norm

Kind = Literal["delete", "swap"]


@dataclasses.dataclass(frozen=True)
class Ablation:
    """One change, and what it costs.

    Args:
        kind: "delete" or "swap".
        blocks: what was deleted, or the two that changed places.
        projects: whether the deleted block's shortcut changes dimensions, so that it stayed.
        loss: cross-entropy of the changed network, nats; None where it is not finite.
        error_pct: its error.
        increase_pct: its error less that of the whole network.
    """

    kind: Kind
    blocks: tuple[str, ...]
    projects: bool
    loss: float | None
    error_pct: float
    increase_pct: float


@dataclasses.dataclass(frozen=True)
class Ablations:
    """All ablations of a network.

    Args:
        network: its name.
        num_images: how many images the errors were measured on.
        loss: of the whole network, nats.
        error_pct: of the whole network.
        deletions: one a block, in the order of the blocks.
        swaps: one a pair of neighbours of one shape.
    """

    network: str
    num_images: int
    loss: float | None
    error_pct: float
    deletions: tuple[Ablation, ...]
    swaps: tuple[Ablation, ...]

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, eq=False)
class _Change:
    """Steps start .. end - 1 of a network give way to others."""

    kind: Kind
    blocks: tuple[str, ...]
    projects: bool
    start: int
    end: int
    instead: Sequence[nn.Module]


def ablate_blocks(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    kinds: Sequence[Kind] = ("delete", "swap"),
    batch_size: int = 128,
    progress: Progress | None = None,
) -> Ablations:
    """Measure the error without each block, and with each pair of neighbours swapped.

    Deleting a residual block leaves its shortcut: the identity, or what changes the dimensions
    alone. Deleting a plain block or layer puts the identity in its place, where shapes allow.
    Batch norms that follow a convolution are folded into it first, so that results may differ
    from those of the network itself by rounding; each change computes only what follows it.

    Args:
        network: any network; it stays as it is.
        images: network input, (N, in_chans, H, W).
        labels: int64 (N,).
        kinds: which changes to make.
        batch_size: images at once.
        progress: called with (changes times batches done, in all).

    Raises:
        UsageError: no part of the network can be left out.

    Source: Veit, Wilber and Belongie 2016, Residual Networks Behave Like Ensembles of
    Relatively Shallow Networks (arXiv 1605.06431), sections 4.1 and 4.3.
    """
    view = fold_batch_norm(view_of(network)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = list(steps_of(view).values())
    units = units_of(view, next(batches(view, images[:1], 1)))
    if not units:
        raise UsageError(
            f"{network.spec.name} has no block that can be left out",
            remedy="take a network with blocks that keep the shape of their input",
        )
    changes = [change for kind in kinds for change in _CHANGES[kind](units, steps)]
    sums = [[0.0, 0.0] for _ in range(len(changes) + 1)]
    done, total = 0, len(sums) * math.ceil(len(images) / batch_size)
    with torch.inference_mode():
        for part, part_labels in batches(view, images, batch_size, labels):
            for number, logits in _logits(steps, changes, part):
                sums[number][0] += float(F.cross_entropy(logits, part_labels, reduction="sum"))
                sums[number][1] += int((logits.argmax(1) != part_labels).sum())
                done += 1
                if progress is not None:
                    progress(done, total)
    found = [(loss / len(images), 100 * wrong / len(images)) for loss, wrong in sums]
    whole_loss, whole_error = found[-1]
    rows = [
        Ablation(
            change.kind, change.blocks, change.projects, _finite(loss), error, error - whole_error
        )
        for change, (loss, error) in zip(changes, found[:-1], strict=True)
    ]
    return Ablations(
        network=network.spec.name,
        num_images=len(images),
        loss=_finite(whole_loss),
        error_pct=whole_error,
        deletions=tuple(row for row in rows if row.kind == "delete"),
        swaps=tuple(row for row in rows if row.kind == "swap"),
    )


def _deletions(units: Sequence[Unit], _steps: Sequence[nn.Module]) -> list[_Change]:
    return [
        _Change("delete", (unit.name,), not unit.shape, unit.start, unit.end, [unit.without])
        for unit in units
    ]


def _swaps(units: Sequence[Unit], steps: Sequence[nn.Module]) -> list[_Change]:
    """Swap neighbours that both keep one and the same shape."""
    return [
        _Change(
            "swap",
            (first.name, second.name),
            False,
            first.start,
            second.end,
            [*steps[second.start : second.end], *steps[first.start : first.end]],
        )
        for first, second in itertools.pairwise(units)
        if first.end == second.start and first.shape == second.shape and first.shape
    ]


_CHANGES = {"delete": _deletions, "swap": _swaps}


def _logits(
    steps: Sequence[nn.Module], changes: Sequence[_Change], x: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """Yield the logits of every change with its number, and last those of the whole network.

    What comes before a change is the same for all of them and computed once.
    """
    for number, step in enumerate(steps):
        for index, change in enumerate(changes):
            if change.start == number:
                y = x
                for module in (*change.instead, *steps[change.end :]):
                    y = module(y)
                yield index, y
        x = step(x)
    yield len(changes), x


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
