"""Residual units with something on the shortcut: what He et al. 2016 compare in table 1.

In each, `branch` is F, `shortcut` makes the input fit (the identity wherever dimensions stay),
and a ReLU follows the addition.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from reslab.nn.blocks import Layer
from reslab.nn.gates import Gate


class ScaledBlock(nn.Module):
    """y = relu(a shortcut(x) + b F(x)).

    Args:
        branch: F, the layers that learn the residual; ends without an activation.
        shortcut: from the input to the output's shape.
        shortcut_scale: a.
        branch_scale: b.

    Source: He et al. 2016, section 3.1, "Constant scaling", and figure 2 (b).
    """

    act: Layer

    def __init__(
        self, branch: nn.Module, shortcut: nn.Module, shortcut_scale: float, branch_scale: float
    ) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.shortcut_scale = shortcut_scale
        self.branch_scale = branch_scale
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu(a shortcut(x) + b F(x))."""
        return self.act(self.shortcut_scale * self.shortcut(x) + self.branch_scale * self.branch(x))

    def extra_repr(self) -> str:
        """Say what the printed module does."""
        return f"shortcut_scale={self.shortcut_scale}, branch_scale={self.branch_scale}"


class ExclusiveGateBlock(nn.Module):
    """y = relu((1 - g(x)) shortcut(x) + g(x) F(x)): the gate opens one path and shuts the other.

    Args:
        branch: F, the layers that learn the residual; ends without an activation.
        shortcut: from the input to the output's shape.
        gate: g, from the input to the output's shape.

    Source: He et al. 2016, section 3.1, "Exclusive gating", and figure 2 (c); the highway
    layer's gate on a residual unit.
    """

    act: Layer

    def __init__(self, branch: nn.Module, shortcut: nn.Module, gate: Gate) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.gate = gate
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu((1 - g(x)) shortcut(x) + g(x) F(x))."""
        g = self.gate(x)
        return self.act((1 - g) * self.shortcut(x) + g * self.branch(x))


class ShortcutGateBlock(nn.Module):
    """y = relu((1 - g(x)) shortcut(x) + F(x)): the gate acts on the shortcut alone.

    Args:
        branch: F, the layers that learn the residual; ends without an activation.
        shortcut: from the input to the output's shape.
        gate: g, from the input to the output's shape.

    Source: He et al. 2016, section 3.1, "Shortcut-only gating", and figure 2 (d).
    """

    act: Layer

    def __init__(self, branch: nn.Module, shortcut: nn.Module, gate: Gate) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.gate = gate
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu((1 - g(x)) shortcut(x) + F(x))."""
        return self.act((1 - self.gate(x)) * self.shortcut(x) + self.branch(x))


class DropoutShortcut(nn.Sequential):
    """shortcut(x) = dropout(fit(x)).

    Args:
        fit: from the input to the output's shape.
        dropout: probability of dropping a value in training; what is kept is scaled up.

    Source: He et al. 2016, section 3.1, "Dropout shortcut", and figure 2 (f).
    """

    def __init__(self, fit: nn.Module, dropout: float) -> None:
        super().__init__(OrderedDict(fit=fit, drop=nn.Dropout(dropout)))
