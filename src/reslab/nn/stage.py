"""A run of blocks, and how to trade time for memory in it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Stage(nn.Sequential):
    """x -> block_n(... block_1(x)).

    With `recompute` set, only the maps between segments of blocks are kept for the backward
    pass, which computes the rest again: gradients and batch-norm statistics stay the same.

    Source: Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost (arXiv 1604.06174).
    """

    recompute = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the blocks one after the other."""
        if not (self.recompute and torch.is_grad_enabled()):
            return super().forward(x)  # type: ignore[no-any-return]
        for segment in self.segments():
            x = _recomputed(segment, x)
        return x

    def segments(self) -> list[nn.Sequential]:
        """Cut the stage so that kept maps and one segment's inner maps are fewest together.

        A block makes about four maps of the size of its input. With k blocks a segment, n / k
        maps are kept and 4 k are recomputed at a time; the sum is least at k = sqrt(n) / 2.
        """
        blocks = list(self)
        length = max(1, round(math.sqrt(len(blocks)) / 2))
        starts = range(0, len(blocks), length)
        return [nn.Sequential(*blocks[start : start + length]) for start in starts]


def _recomputed(blocks: nn.Module, x: torch.Tensor) -> torch.Tensor:
    if torch.compiler.is_compiling():  # a compiled backward pass recomputes values, not updates
        return checkpoint(blocks, x, use_reentrant=False)  # type: ignore[no-any-return]
    return checkpoint(  # type: ignore[no-any-return]
        blocks,
        x,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), _statistics_left_alone(blocks)),
    )


@contextlib.contextmanager
def _statistics_left_alone(blocks: nn.Module) -> Iterator[None]:
    """Let batch norms update copies: the first pass has already counted this batch."""
    norms = [m for m in blocks.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [dict(norm.named_buffers(recurse=False)) for norm in norms]
    try:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, value in buffers.items():
                setattr(norm, name, value.clone())
        yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, value in buffers.items():
                setattr(norm, name, value)
