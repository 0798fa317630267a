"""A visit to some samples: the source of all randomness in a batch."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from reslab.data import random
from reslab.data.random import Draw
from reslab.display.short import short_repr


@dataclasses.dataclass(frozen=True)
class Visit:
    """Which samples are looked at, and how often each was before: the source of randomness.

    Args:
        seed: of the run.
        epochs: int64 (B,), how often each sample was visited before.
        samples: int64 (B,), sample numbers.
    """

    seed: int
    epochs: Tensor
    samples: Tensor

    __repr__ = short_repr

    def uniform(self, draw: Draw, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw float32 (B,) from [low, high)."""
        u = random.uniform(self.seed, self.epochs, self.samples, draw)
        return u * (high - low) + low if (low, high) != (0.0, 1.0) else u

    def integers(self, draw: Draw, upper: int) -> Tensor:
        """Draw int64 (B,) from 0 .. upper - 1."""
        return random.integers(self.seed, self.epochs, self.samples, draw, upper)

    def normal(self, draw: Draw) -> Tensor:
        """Draw float32 (B,) from the standard normal distribution."""
        return random.normal(self.seed, self.epochs, self.samples, draw)

    def log_uniform(self, draw: Draw, low: float, high: float) -> Tensor:
        """Draw float32 (B,) from [low, high], uniform in the logarithm."""
        return random.log_uniform(self.seed, self.epochs, self.samples, draw, low, high)

    def beta(self, draw: Draw, alpha: float) -> Tensor:
        """Draw float32 (B,) from Beta(alpha, alpha)."""
        return random.beta(self.seed, self.epochs, self.samples, draw, alpha)
