"""Highway layers: a learned mixture of a layer's output and its input."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from reslab.nn.gates import Gate


class HighwayLayer(nn.Module):
    """y = H(x) T(x) + x (1 - T(x)) with H(x) = relu(W_H x + b_H), T(x) = sigmoid(W_T x + b_T).

    No activation follows. Input and output have the same width and size.

    Args:
        width: channels.
        kernel: side of both convolutions, whose input is padded with zeros.

    Source: Srivastava et al. 2015 (arXiv 1507.06228), equation 3 and section 2.
    """

    def __init__(self, width: int, kernel: int = 3) -> None:
        super().__init__()
        self.transform = plain_layer(width, width, kernel, kernel // 2)
        self.gate = Gate(width, width, kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute H(x) T(x) + x (1 - T(x))."""
        t = self.gate(x)
        return self.transform(x) * t + x * (1 - t)  # type: ignore[no-any-return]


def plain_layer(in_width: int, out_width: int, kernel: int, padding: int) -> nn.Sequential:
    """H(x) = relu(W x + b): a convolution with a bias and no batch norm."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_width, out_width, kernel, padding=padding),
            act=nn.ReLU(),
        )
    )
