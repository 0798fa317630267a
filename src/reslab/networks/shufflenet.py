"""ShuffleNet (Zhang et al. 2017, arXiv 1707.01083)."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Self

import torch
from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import ResidualBlock, conv, make_pool
from reslab.networks.network import GlobalAveragePool, Head, Network, Stage, builds, initialize
from reslab.networks.spec import Entry, NetworkSpec, Published, Section, Stem, spec_kind

# Channels that leave the first stage of units at full width, by groups: the paper's table 1.
STAGE_WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
# Channels of the first convolution by width multiplier: the authors' later release; at 0.25,
# which it lacks, the number that gives the 13 million multiply-adds of the paper's table 2.
STEM_WIDTHS = {0.25: 12, 0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}
BOTTLENECK_REDUCTION = 4


@spec_kind("shufflenet_v1")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ShuffleNetSpec(NetworkSpec):
    """A first convolution and max pool, then stages of units of grouped 1x1 convolutions.

    Args:
        groups: of the 1x1 convolutions: 1, 2, 3, 4 or 8.
        width_multiplier: the paper's s: 0.25, 0.5, 1, 1.5 or 2.
        depths: units of each stage; the first one of each subsamples, and channels double
            from stage to stage.
        shuffle: whether channels are shuffled after the first grouped convolution of a unit.
        stem: "small" takes the stride from the first convolution and leaves out the max pool:
            images of 32 px then end in maps of 4x4.
    """

    groups: int
    width_multiplier: float = 1.0
    depths: tuple[int, ...] = (4, 8, 4)
    shuffle: bool = True
    stem: Stem = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups not in STAGE_WIDTHS:
            raise UsageError(
                f"groups must be one of {_listed(STAGE_WIDTHS)}, received {self.groups}"
            )
        if self.width_multiplier not in STEM_WIDTHS:
            raise UsageError(
                f"width_multiplier must be one of {_listed(STEM_WIDTHS)}, "
                f"received {self.width_multiplier}"
            )
        if not self.depths or min(self.depths) < 1:
            raise UsageError(f"every stage needs one unit or more, received depths {self.depths}")

    @property
    def stem_width(self) -> int:
        """Channels of the first convolution: a multiple of the groups.

        The first unit puts its own output beside its input, so both are in whole groups.
        """
        return _multiple(STEM_WIDTHS[self.width_multiplier], self.groups)

    @property
    def stage_width(self) -> int:
        """Channels that leave the first stage: four times a multiple of the groups.

        A unit is four times narrower inside, and its convolutions there are grouped too. The
        paper's own widths all are such multiples at full width; others are rounded to the
        nearest one, halves up.
        """
        width = self.width_multiplier * STAGE_WIDTHS[self.groups]
        return _multiple(width, BOTTLENECK_REDUCTION * self.groups)

    def with_stem(self, stem: Stem) -> Self:
        """Give the network the first layers for small or for large images."""
        return dataclasses.replace(self, stem=stem)


def _multiple(width: float, of: int) -> int:
    """Return the nearest multiple, at least one; halves are rounded up."""
    return of * max(1, int(width / of + 0.5))  # round() takes halves to the even number


def _listed(values: dict[int, int] | dict[float, int]) -> str:
    return ", ".join(f"{value:g}" for value in values)


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
    initialize(network)
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


SOURCE = "Zhang et al. 2017, ShuffleNet (arXiv 1707.01083)"
PROTOCOL = "ImageNet validation, centre crop"
# Errors and millions of multiply-adds, by groups: tables 1 and 2.
FULL_WIDTH = {1: (33.6, 143), 2: (32.7, 140), 3: (32.6, 137), 4: (32.8, 133), 8: (32.4, 137)}
# The same by groups and width multiplier: tables 2 and 5.
OTHER_WIDTHS = {
    (3, 0.5): (43.2, 38),
    (3, 1.5): (28.5, 292),
    (3, 2.0): (26.3, 524),
    (8, 0.5): (42.3, 38),
    (8, 1.5): None,
    (8, 2.0): None,
}
WITHOUT_SHUFFLE = {3: 34.5, 8: 37.6}  # errors: table 3
START = "weights begin as in He et al. 2015 (arXiv 1502.01852); the paper does not say how"
MACS = "the paper's multiply-adds leave out the classifier's"
IN_RELEASE_ONLY = "not in the paper: a width of the authors' later release"
STEM = (
    "the width of the first convolution is that of the authors' later release; the paper does "
    "not say how it is scaled"
)


def _entry(
    name: str,
    summary: str,
    table: str,
    *,
    groups: int,
    width_multiplier: float = 1.0,
    shuffle: bool = True,
    paper: Published | None = None,
    deviations: tuple[str, ...] = (),
) -> Entry:
    return Entry(
        family="shufflenet",
        spec=ShuffleNetSpec(
            name=name, groups=groups, width_multiplier=width_multiplier, shuffle=shuffle
        ),
        source=f"{SOURCE}, {table}",
        summary=summary,
        paper=paper or {},
        deviations=(*deviations, START),
    )


def _paper(error: float, macs: float) -> Published:
    return {"error_pct": error, "macs": macs * 1e6, "protocol": PROTOCOL}


ENTRIES: tuple[Entry, ...] = (
    *(
        _entry(
            f"shufflenet_v1_g{groups}",
            f"{groups} groups" if groups > 1 else "no groups",
            "tables 1 and 2",
            groups=groups,
            paper=_paper(*known),
            deviations=(MACS,),
        )
        for groups, known in FULL_WIDTH.items()
    ),
    *(
        _entry(
            f"shufflenet_v1_g{groups}_{round(100 * multiplier):03}",
            f"{groups} groups, {multiplier:g}x",
            "tables 2 and 5",
            groups=groups,
            width_multiplier=multiplier,
            paper=_paper(*known) if known else {},
            deviations=(STEM,) if known else (IN_RELEASE_ONLY, STEM),
        )
        for (groups, multiplier), known in OTHER_WIDTHS.items()
    ),
    *(
        _entry(
            f"shufflenet_v1_g{groups}_noshuffle",
            f"{groups} groups, apart",
            "table 3",
            groups=groups,
            shuffle=False,
            paper={"error_pct": error, "protocol": PROTOCOL},
        )
        for groups, error in WITHOUT_SHUFFLE.items()
    ),
)

SECTIONS = (Section("ShuffleNet (Zhang et al. 2017, arXiv 1707.01083)", ENTRIES),)
