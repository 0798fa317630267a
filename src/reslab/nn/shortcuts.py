"""What a residual block adds to its branch: the input itself, or the input made to fit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reslab.errors import UsageError
from reslab.spec import ShortcutOption


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
