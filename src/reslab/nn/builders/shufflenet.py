"""ShuffleNet (Zhang et al. 2017, arXiv 1707.01083), as modules."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from reslab.nn.blocks import ResidualBlock, conv
from reslab.nn.build import builds
from reslab.nn.head import GlobalAveragePool, Head
from reslab.nn.init import initialise
from reslab.nn.network import Network
from reslab.nn.stage import Stage
from reslab.nn.stem import make_pool
from reslab.spec.shufflenet import BOTTLENECK_REDUCTION, ShuffleNetSpec


class ChannelShuffle(nn.Module):
    """y[j * groups + i] = x[i * n + j], n channels a group: take one of each group in turn.

    Args:
        groups: of the convolution before; its number divides the channels.

    Source: Zhang et al. 2017, section 3.1: reshape to (groups, n), transpose, flatten.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same shape."""
        shape = (self.groups, x.shape[1] // self.groups)
        return x.unflatten(1, shape).transpose(1, 2).flatten(1, 2)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Say what the printed module does."""
        return f"groups={self.groups}"


class DownsamplingUnit(nn.Module):
    """y = relu([pool(x), F(x)]): a 3x3 average pool of stride 2 beside the branch.

    The pool counts its padding as zeros. Its channels come first, as in the authors' release.

    Args:
        branch: F, of stride 2; ends without an activation.

    Source: Zhang et al. 2017, section 3.2 and figure 2 (c).
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = nn.AvgPool2d(3, stride=2, padding=1)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu([pool(x), F(x)])."""
        return self.act(torch.cat([self.shortcut(x), self.branch(x)], dim=1))  # type: ignore[no-any-return]


def make_branch(
    in_width: int,
    width: int,
    out_width: int,
    *,
    stride: int,
    groups: int,
    first_groups: int,
    shuffle: bool,
) -> nn.Sequential:
    """F(x) = BN(G2 BN(D shuffle(relu(BN(G1 x))))): no activation after the depthwise D.

    Args:
        in_width: channels of the input.
        width: channels of D.
        out_width: channels of the output.
        stride: subsampling, by D.
        groups: of the 1x1 convolution G2.
        first_groups: of the 1x1 convolution G1.
        shuffle: whether channels are shuffled between G1 and D.

    Source: Zhang et al. 2017, figure 2 (b) and (c).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv1"] = nn.Conv2d(in_width, width, 1, groups=first_groups, bias=False)
    layers["norm1"] = nn.BatchNorm2d(width)
    layers["act1"] = nn.ReLU()
    if shuffle and groups > 1:
        layers["shuffle"] = ChannelShuffle(groups)
    layers["conv2"] = nn.Conv2d(width, width, 3, stride=stride, padding=1, groups=width, bias=False)
    layers["norm2"] = nn.BatchNorm2d(width)
    layers["conv3"] = nn.Conv2d(width, out_width, 1, groups=groups, bias=False)
    layers["norm3"] = nn.BatchNorm2d(out_width)
    return nn.Sequential(layers)


@builds(ShuffleNetSpec)
def build_shufflenet(spec: ShuffleNetSpec) -> Network:
    """Assemble stem, units and head as in Zhang et al. 2017, table 1.

    The paper does not say how its weights begin; here it is He et al. 2015, as everywhere.
    """
    small = spec.stem == "small"
    width, reduction = spec.stem_width, 1 if small else 2
    stem = OrderedDict(
        conv=conv(spec.in_chans, width, 3, reduction), norm=nn.BatchNorm2d(width), act=nn.ReLU()
    )
    features = [(width, reduction)]
    stages = {}
    for number in range(1, len(spec.depths) + 1):
        pooled = number == 1 and not small
        stages[f"stage{number}"] = make_stage(spec, number, width, pooled)
        width = spec.stage_width * 2 ** (number - 1)
        reduction *= 4 if pooled else 2
        features.append((width, reduction))
    network = Network(
        spec,
        stem=nn.Sequential(stem),
        stages=stages,
        head=Head(
            GlobalAveragePool(),
            num_features=width,
            num_classes=spec.num_classes,
            dropout=spec.dropout,
        ),
        features=features,
    )
    initialise(network)
    return network


def make_stage(spec: ShuffleNetSpec, number: int, in_width: int, pooled: bool) -> Stage:
    """Line up a stage: the max pool where it opens with one, a unit of stride 2, the others.

    The very first 1x1 convolution is not grouped: it has few channels to read.
    """
    out_width = spec.stage_width * 2 ** (number - 1)
    width = out_width // BOTTLENECK_REDUCTION
    children: OrderedDict[str, nn.Module] = OrderedDict()
    if pooled:
        children["pool"] = make_pool()
    children["unit1"] = DownsamplingUnit(
        make_branch(
            in_width,
            width,
            out_width - in_width,
            stride=2,
            groups=spec.groups,
            first_groups=1 if number == 1 else spec.groups,
            shuffle=spec.shuffle,
        )
    )
    for unit in range(2, spec.depths[number - 1] + 1):
        branch = make_branch(
            out_width,
            width,
            out_width,
            stride=1,
            groups=spec.groups,
            first_groups=spec.groups,
            shuffle=spec.shuffle,
        )
        children[f"unit{unit}"] = ResidualBlock(branch, nn.Identity())
    return Stage(children)
