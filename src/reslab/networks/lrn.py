"""Local response normalization, as the networks before batch normalisation had it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class LocalResponseNorm(nn.Module):
    """b_i = a_i / (k + alpha * sum of a_j^2 over the n channels j around i)^beta.

    The sum is over |i - j| <= n / 2, cut off at the first and the last channel. alpha stands
    before the sum as in the paper: torch and Caffe divide it by n, so that theirs with 5 * alpha
    is this one. No parameters.

    Args:
        size: n, odd.
        alpha: weight of the sum.
        beta: exponent.
        k: keeps the divisor away from zero.

    Source: Krizhevsky et al. 2012, section 3.3, with the constants given there.
    """

    def __init__(
        self, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
    ) -> None:
        super().__init__()
        assert size % 2 == 1, "a window has a middle"
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, H, W) across the channels."""
        # Next to k, alpha times the sum is lost in the shorter types.
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        half, channels = self.size // 2, x.shape[1]
        squares = F.pad(exact * exact, (0, 0, 0, 0, half, half))
        # Shifted maps added up: about three times as fast on a CPU as torch's 3-d pooling.
        total = squares[:, :channels]
        for shift in range(1, self.size):
            total = total + squares[:, shift : shift + channels]
        return (exact * (self.k + self.alpha * total).pow(-self.beta)).to(x.dtype)

    def extra_repr(self) -> str:
        """Say what the printed module does."""
        return f"size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
