"""What networks of several families are built of: blocks, their branches and their shortcuts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from reslab.errors import UsageError

BOTTLENECK_EXPANSION = 4
TensorFunction = Callable[[torch.Tensor], torch.Tensor]
ShortcutOption = Literal["none", "A", "B", "C"]
StrideOn = Literal["1x1", "3x3"]


class ResidualBlock(nn.Module):
    """y = relu(F(x) + shortcut(x)).

    Args:
        branch: F, the layers that learn the residual; ends without an activation.
        shortcut: what is added to it; the same output shape.

    Source: He et al. 2015, equations 1 and 2.
    """

    act: TensorFunction

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu(F(x) + shortcut(x))."""
        return self.act(self.branch(x) + self.shortcut(x))


class PlainBlock(nn.Module):
    """y = relu(F(x)): the residual block without its shortcut.

    Args:
        branch: F, the layers; ends without an activation.

    Source: He et al. 2015, section 3.3, "Plain Network".
    """

    act: TensorFunction

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu(F(x))."""
        return self.act(self.branch(x))


class AdditiveBlock(nn.Module):
    """y = F(x) + shortcut(x): nothing follows the addition.

    With an identity shortcut the signal passes through a stack of these unchanged, in both
    directions.

    Args:
        branch: F, the layers that learn the residual, with all their activations.
        shortcut: what is added to it; the same output shape.

    Source: He et al. 2016, equations 1 to 5 with f the identity.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute F(x) + shortcut(x)."""
        return self.branch(x) + self.shortcut(x)  # type: ignore[no-any-return]


class SharedActivationBlock(nn.Module):
    """y = F(a) + shortcut(a) with a = activation(x): both paths start from the activated input.

    Args:
        activation: what the two paths share, e.g. batch norm and ReLU.
        branch: F, the layers that learn the residual, without their first activation.
        shortcut: what is added to it; the same output shape.

    Source: He et al. 2016, appendix: the first unit activates before splitting into two paths;
    in the released code so do those that change dimensions.
    """

    activation: TensorFunction

    def __init__(self, activation: nn.Module, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.activation = activation
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute F(a) + shortcut(a) with a = activation(x)."""
        a = self.activation(x)
        return self.branch(a) + self.shortcut(a)  # type: ignore[no-any-return]


def basic_branch(in_width: int, width: int, stride: int) -> nn.Sequential:
    """F(x) = BN(W2 relu(BN(W1 x))) with two 3x3 convolutions; the first one subsamples.

    Source: He et al. 2015, figure 5 left.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=conv(in_width, width, 3, stride),
            norm1=nn.BatchNorm2d(width),
            act1=nn.ReLU(),
            conv2=conv(width, width, 3),
            norm2=nn.BatchNorm2d(width),
        )
    )


def bottleneck_branch(in_width: int, width: int, stride: int, stride_on: StrideOn) -> nn.Sequential:
    """F(x) = BN(W3 relu(BN(W2 relu(BN(W1 x))))) with 1x1, 3x3 and 1x1 convolutions.

    Args:
        in_width: channels of the input.
        width: channels of the 3x3 convolution; the output has four times as many.
        stride: subsampling.
        stride_on: the convolution that subsamples.

    Source: He et al. 2015, figure 5 right.
    """
    out_width = BOTTLENECK_EXPANSION * width
    return nn.Sequential(
        OrderedDict(
            conv1=conv(in_width, width, 1, stride if stride_on == "1x1" else 1),
            norm1=nn.BatchNorm2d(width),
            act1=nn.ReLU(),
            conv2=conv(width, width, 3, stride if stride_on == "3x3" else 1),
            norm2=nn.BatchNorm2d(width),
            act2=nn.ReLU(),
            conv3=conv(width, out_width, 1),
            norm3=nn.BatchNorm2d(out_width),
        )
    )


def conv(in_width: int, out_width: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Make a convolution that keeps the size at stride 1; no bias, for a batch norm follows."""
    return nn.Conv2d(in_width, out_width, kernel, stride=stride, padding=kernel // 2, bias=False)


def make_pool() -> nn.MaxPool2d:
    """Halve the maps: the 3x3 max pool of stride 2 that opens conv2_x."""
    return nn.MaxPool2d(3, stride=2, padding=1)


class ZeroPadShortcut(nn.Module):
    """shortcut(x) = x subsampled, followed by channels of zeros; no parameters.

    Args:
        in_width: channels of the input.
        out_width: channels of the output; the new ones come last.
        stride: every stride-th row and column is kept.

    Source: He et al. 2015, section 3.3, option A.
    """

    def __init__(self, in_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        if out_width < in_width:
            raise UsageError(
                f"shortcut option A cannot narrow {in_width} channels to {out_width}",
                remedy="use option B or C, or widths that never shrink",
            )
        self.stride = stride
        self.new_channels = out_width - in_width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, in_width, H, W) to (B, out_width, ceil(H / stride), ceil(W / stride))."""
        # F.pad counts from the last dimension: width, height, then channels (before, after).
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))

    def extra_repr(self) -> str:
        """Say what the printed module does."""
        return f"stride={self.stride}, new_channels={self.new_channels}"


class ProjectionShortcut(nn.Sequential):
    """shortcut(x) = BN(W x), a 1x1 convolution without bias; no activation.

    Source: He et al. 2015, equation 2 and section 3.3, options B and C.
    """

    def __init__(self, in_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, out_width, 1, stride=stride, bias=False)
        self.norm = nn.BatchNorm2d(out_width)


def make_shortcut(in_width: int, out_width: int, stride: int, option: ShortcutOption) -> nn.Module:
    """Choose the shortcut of a block by the paper's option.

    Args:
        in_width: channels that enter the block.
        out_width: channels that leave it.
        stride: subsampling inside the block.
        option: "A" zero padding and "B" projection where dimensions change, "C" projection
            everywhere.
    """
    assert option != "none", "a plain block has no shortcut"
    if option == "C":
        return ProjectionShortcut(in_width, out_width, stride)
    if in_width == out_width and stride == 1:
        return nn.Identity()
    if option == "A":
        return ZeroPadShortcut(in_width, out_width, stride)
    return ProjectionShortcut(in_width, out_width, stride)


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


def set_gate_bias(network: nn.Module, bias: float) -> None:
    """Let the biases of every gate start at one value: gates start near sigmoid(bias)."""
    for module in network.modules():
        if isinstance(module, Gate):
            assert module.conv.bias is not None
            nn.init.constant_(module.conv.bias, bias)
