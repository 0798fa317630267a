"""Compiled passes in place of the modules that compute the same, but slower."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from reslab.kernels import conv3x3, norm_act, zero_pad
from reslab.networks.blocks import ResidualBlock, ZeroPadShortcut


class NarrowConv(nn.Conv2d):
    """A 3x3 convolution of few channels; in bf16 it runs compiled, else as torch does it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve (B, C, H, W)."""
        if conv3x3.fits(x, self):
            return conv3x3.conv3x3(x, self.weight, self.stride[0])
        return super().forward(x)

    def and_input(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Convolve, and return the input too: for a shortcut, whose gradient comes along."""
        if conv3x3.fits(x, self):
            return conv3x3.conv3x3_and_input(x, self.weight, self.stride[0])
        return super().forward(x), x


class FusedZeroPad(ZeroPadShortcut):
    """Shortcut option A in one pass."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Subsample (B, C, H, W) and append channels of zeros."""
        return zero_pad(x, self.stride, self.new_channels)


class FusedNorm(nn.BatchNorm2d):
    """y = BN(x)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, H, W)."""
        return norm_act(self, x, act=False)


class FusedNormRelu(nn.BatchNorm2d):
    """y = relu(BN(x)); the module that was the ReLU hands on what it gets."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise and rectify (B, C, H, W)."""
        return norm_act(self, x)


class FusedResidualBlock(ResidualBlock):
    """y = relu(BN(z) + shortcut(x)), where BN is the branch's last layer and z what it receives."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu(F(x) + shortcut(x)); the last norm, the sum and the ReLU are one pass."""
        assert isinstance(self.branch, nn.Sequential)
        first, *layers, norm = self.branch
        assert isinstance(norm, nn.BatchNorm2d)
        z, x = first.and_input(x) if isinstance(first, NarrowConv) else (first(x), x)
        for layer in layers:
            z = layer(z)
        return norm_act(norm, z, self.shortcut(x))


def fuse(network: nn.Module) -> int:
    """Let batch norms run as one pass with what is behind them, and narrow convolutions compiled.

    The network stays the same function of the same parameters, buffers and names; modules only
    change how they compute. ReLUs that another module has taken over become identities.

    Returns:
        The number of batch norms that were taken.
    """
    taken = 0
    for module in network.modules():
        # `type(...) is`: a subclass may compute something else.
        if type(module) is nn.BatchNorm2d and module.affine and module.track_running_stats:
            # Only the class changes, so that names, parameters and what holds them stay.
            module.__class__ = FusedNorm
            taken += 1
        elif type(module) is nn.Conv2d and conv3x3.takes(module):
            module.__class__ = NarrowConv
        elif type(module) is ZeroPadShortcut:
            module.__class__ = FusedZeroPad
    # A list: replacing a ReLU changes what is walked over.
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for (_, norm), (name, act) in pairwise(list(module.named_children())):
                if type(norm) is FusedNorm and type(act) is nn.ReLU:
                    norm.__class__ = FusedNormRelu  # type: ignore[assignment]
                    setattr(module, name, nn.Identity())
        elif type(module) is ResidualBlock and _ends_in_norm(module.branch):
            module.__class__ = FusedResidualBlock
    return taken


def _ends_in_norm(branch: nn.Module) -> bool:
    return isinstance(branch, nn.Sequential) and type(branch[-1]) is FusedNorm
