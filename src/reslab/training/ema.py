"""A running average of the weights, with a warm-up so that short runs profit too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """average = decay * average + (1 - decay) * weights, after every update.

    The decay rises as (1 + step) / (10 + step) up to its final value, so that the average
    forgets the initial weights. Batch-norm statistics are averaged alike.

    Args:
        network: the network to follow.
        decay: the final decay, in (0, 1).
        graphed: keep the decay in a tensor, so that a captured update is replayed with another.
    """

    def __init__(self, network: nn.Module, decay: float, *, graphed: bool = False) -> None:
        self.decay = decay
        self._network = network
        self._average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self._floats = [k for k, v in self._average.items() if v.is_floating_point()]
        self._others = [k for k, v in self._average.items() if not v.is_floating_point()]
        device = next(iter(self._average.values())).device
        self._share: float | Tensor = torch.zeros((), device=device) if graphed else 0.0

    def update(self, step: int) -> None:
        """Move the average towards the weights after update number `step` (from 1)."""
        self.begin(step)
        self.move()

    def begin(self, step: int) -> None:
        """Set how far update number `step` (from 1) will move the average."""
        # A constant decay would hold the initial weights for 1 / (1 - decay) updates.
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        if isinstance(self._share, Tensor):
            self._share.fill_(share)
        else:
            self._share = share

    @torch.no_grad()
    def move(self) -> None:
        """Move the average towards the weights by the share that `begin` has set."""
        weights = self._network.state_dict()
        averages = [self._average[k] for k in self._floats]
        present = [weights[k] for k in self._floats]
        if isinstance(self._share, Tensor):
            moved = torch._foreach_sub(present, averages)
            torch._foreach_mul_(moved, self._share)
            torch._foreach_add_(averages, moved)
        else:
            # One pass over all tensors: a loop would start three kernels for each of them.
            torch._foreach_lerp_(averages, present, self._share)
        if self._others:
            torch._foreach_copy_(
                [self._average[k] for k in self._others], [weights[k] for k in self._others]
            )

    def tensors(self) -> dict[str, Tensor]:
        """Return the average as a state dict."""
        return dict(self._average)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore an average."""
        for key, value in self._average.items():
            value.copy_(tensors[key])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averaged weights into the network for a while."""
        kept = {k: v.detach().clone() for k, v in self._network.state_dict().items()}
        try:
            self._network.load_state_dict(self._average)
            yield
        finally:
            self._network.load_state_dict(kept)
