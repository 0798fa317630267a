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
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._network = network
        self._average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self._floats = [k for k, v in self._average.items() if v.is_floating_point()]
        self._others = [k for k, v in self._average.items() if not v.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights after update number `step` (from 1)."""
        weights = self._network.state_dict()
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            [self._average[k] for k in self._floats], [weights[k] for k in self._floats], 1 - decay
        )
        for key in self._others:
            self._average[key].copy_(weights[key])

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
