"""A run of blocks, and how to trade time for memory in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Stage(nn.Sequential):
    """x -> block_n(... block_1(x)).

    With `recompute` set, only the input of each block is kept for the backward pass, which
    computes the rest again: gradients and batch-norm statistics stay the same.
    """

    recompute = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the blocks one after the other."""
        for block in self:
            x = _recomputed(block, x) if self.recompute and torch.is_grad_enabled() else block(x)
        return x


def _recomputed(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return checkpoint(  # type: ignore[no-any-return]
        block,
        x,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), _statistics_left_alone(block)),
    )


@contextlib.contextmanager
def _statistics_left_alone(block: nn.Module) -> Iterator[None]:
    """Let batch norms update copies: the first pass has already counted this batch."""
    norms = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
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
