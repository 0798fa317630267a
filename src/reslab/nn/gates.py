"""Gates: values between 0 and 1, computed from the input, that say how much passes."""

from __future__ import annotations

import torch
from torch import nn


class Gate(nn.Module):
    """g(x) = sigmoid(W x + b), one value for each channel and position.

    Args:
        in_width: channels of the input.
        out_width: channels of the gate.
        kernel: side of the convolution; zeros are padded so that stride 1 keeps the size.
        stride: that of the layers whose output it multiplies.

    Source: He et al. 2016, section 3.1 (1x1); Srivastava et al. 2015 (arXiv 1507.06228),
    section 2 (the kernel of the gated layer).
    """

    def __init__(self, in_width: int, out_width: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, out_width, kernel, stride=stride, padding=kernel // 2)
        self.act = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, in_width, H, W) to values in (0, 1), (B, out_width, H / stride, W / stride)."""
        return self.act(self.conv(x))  # type: ignore[no-any-return]


def start_gates(network: nn.Module, bias: float) -> None:
    """Let the biases of every gate start at one value: gates start near sigmoid(bias)."""
    for module in network.modules():
        if isinstance(module, Gate):
            assert module.conv.bias is not None
            nn.init.constant_(module.conv.bias, bias)
