"""Plain and residual networks (He et al. 2015, arXiv 1512.03385)."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, Self

from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import (
    BOTTLENECK_EXPANSION,
    PlainBlock,
    ResidualBlock,
    ShortcutOption,
    StrideOn,
    basic_branch,
    bottleneck_branch,
    conv,
    make_pool,
    make_shortcut,
)
from reslab.networks.network import GlobalAveragePool, Head, Network, Stage, builds, initialize
from reslab.networks.spec import Entry, NetworkSpec, Published, Section, Stem, check_stem, spec_kind

Branch = Literal["basic", "bottleneck"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StemSpec:
    """The first convolution and what follows it.

    Args:
        width: output channels.
        kernel: side of the convolution.
        stride: its stride.
        max_pool: whether a 3x3 max pool of stride 2 (padding 1) follows.
    """

    width: int
    kernel: int
    stride: int
    max_pool: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSpec:
    """A run of equal blocks; the first one may subsample.

    Args:
        width: channels of the 3x3 convolutions (a bottleneck puts out four times as many).
        depth: number of blocks.
        stride: stride of the first block.
    """

    width: int
    depth: int
    stride: int


@spec_kind("resnet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetSpec(NetworkSpec):
    """A plain or residual network as in He et al. 2015 (arXiv 1512.03385, section 3).

    Args:
        stem: the first layers.
        stages: the runs of blocks.
        branch: two 3x3 convolutions ("basic") or 1x1, 3x3, 1x1 ("bottleneck").
        shortcut: "none" for the plain network; "A" zero padding, "B" projection where
            dimensions change, "C" projection everywhere.
        stride_on: which convolution of a bottleneck subsamples: "1x1" as in the paper,
            "3x3" as in the later form known as v1.5. A basic block always uses its first.
    """

    stem: StemSpec
    stages: tuple[StageSpec, ...]
    branch: Branch = "basic"
    shortcut: ShortcutOption = "B"
    stride_on: StrideOn = "1x1"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stages:
            raise UsageError(f"network '{self.name}' has no stages")

    def with_stem(self, stem: Stem) -> Self:
        """Give a network one 3x3 convolution of stride 1, or 7x7 of stride 2 and a max pool."""
        check_stem(stem)
        small = stem == "small"
        first = StemSpec(
            width=self.stem.width,
            kernel=3 if small else 7,
            stride=1 if small else 2,
            max_pool=not small,
        )
        return dataclasses.replace(self, stem=first)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockPosition:
    """Where a block stands.

    Args:
        in_width: channels that enter it.
        width: channels of its 3x3 convolutions.
        out_width: channels that leave it.
        stride: its subsampling.
        opens_stage: whether it is the first block of its stage.
        opens_network: whether it is the first block of all.
    """

    in_width: int
    width: int
    out_width: int
    stride: int
    opens_stage: bool
    opens_network: bool


def network_of_blocks(
    spec: ResNetSpec,
    *,
    stem: nn.Module,
    make_block: Callable[[BlockPosition], nn.Module],
    features: nn.Module,
) -> Network:
    """Line up stem, stages and head, with blocks of any kind.

    Args:
        spec: the network.
        stem: its first layers; a max pool opens the first stage.
        make_block: from a block's position to the block.
        features: from the last map to one vector an image.
    """
    width, reduction = spec.stem.width, spec.stem.stride
    maps = [(width, reduction)]
    stages = {}
    for number, stage in enumerate(spec.stages, start=1):
        children: OrderedDict[str, nn.Module] = OrderedDict()
        if number == 1 and spec.stem.max_pool:
            children["pool"] = make_pool()
            reduction *= 2
        for block in range(1, stage.depth + 1):
            position = BlockPosition(
                in_width=width,
                width=stage.width,
                out_width=out_width(spec, stage),
                stride=stage.stride if block == 1 else 1,
                opens_stage=block == 1,
                opens_network=block == number == 1,
            )
            children[f"block{block}"] = make_block(position)
            width = position.out_width
        stages[f"stage{number}"] = Stage(children)
        reduction *= stage.stride
        maps.append((width, reduction))
    head = Head(features, num_features=width, num_classes=spec.num_classes, dropout=spec.dropout)
    return Network(spec, stem=stem, stages=stages, head=head, features=maps)


def make_branch(spec: ResNetSpec, position: BlockPosition) -> nn.Sequential:
    """Make the original F of a block: conv BN relu conv BN, or the bottleneck."""
    if spec.branch == "basic":
        return basic_branch(position.in_width, position.width, position.stride)
    return bottleneck_branch(position.in_width, position.width, position.stride, spec.stride_on)


def out_width(spec: ResNetSpec, stage: StageSpec) -> int:
    """Return the channels that leave a block of the stage."""
    return stage.width * (BOTTLENECK_EXPANSION if spec.branch == "bottleneck" else 1)


def make_stem(spec: StemSpec, in_chans: int) -> nn.Sequential:
    """stem(x) = relu(BN(W x)), the paper's conv1.

    The max pool that may follow is not here: as in Table 1 of He et al. 2015 it opens the
    first stage, so that the stem's output is the map of the highest resolution.
    """
    return nn.Sequential(
        OrderedDict(
            conv=conv(in_chans, spec.width, spec.kernel, spec.stride),
            norm=nn.BatchNorm2d(spec.width),
            act=nn.ReLU(),
        )
    )


@builds(ResNetSpec)
def build_resnet(spec: ResNetSpec) -> Network:
    """Assemble stem, stages and head as in He et al. 2015, tables 1 and 6."""
    network = network_of_blocks(
        spec,
        stem=make_stem(spec.stem, spec.in_chans),
        make_block=lambda position: make_block(spec, position),
        features=GlobalAveragePool(),
    )
    initialize(network)
    return network


def make_block(spec: ResNetSpec, position: BlockPosition) -> nn.Module:
    """Make one block: the branch, and the shortcut unless the network is plain."""
    branch = make_branch(spec, position)
    if spec.shortcut == "none":
        return PlainBlock(branch)
    shortcut = make_shortcut(position.in_width, position.out_width, position.stride, spec.shortcut)
    return ResidualBlock(branch, shortcut)


IMAGENET_SOURCE = "He et al. 2015, Deep Residual Learning for Image Recognition, sections 3 and 4.1"
IMAGENET_STEM = StemSpec(width=64, kernel=7, stride=2, max_pool=True)
IMAGENET_DEPTHS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
MACS: dict[int, float] = {18: 1.8e9, 34: 3.6e9, 50: 3.8e9, 101: 7.6e9, 152: 11.3e9}
POOL = (
    "the max pool pads by one pixel on each side, as fb.resnet.torch and torchvision do; the "
    "authors' Caffe release pads none and rounds up, which shifts its windows by one pixel"
)
V15 = (
    "stride 2 on the 3x3 convolution of a bottleneck (the form known as v1.5, as in "
    "fb.resnet.torch and torchvision) instead of the first 1x1"
)
TEN_CROP = "ILSVRC 2012 validation, single model, 10-crop"


def _imagenet(
    name: str,
    depth: int,
    shortcut: ShortcutOption,
    summary: str,
    *,
    paper: Published,
    deviations: tuple[str, ...] = (),
    stride_on: StrideOn = "1x1",
) -> Entry:
    branch: Branch = "basic" if depth < 50 else "bottleneck"
    widths = zip((64, 128, 256, 512), IMAGENET_DEPTHS[depth], (1, 2, 2, 2), strict=True)
    spec = ResNetSpec(
        name=name,
        stem=IMAGENET_STEM,
        stages=tuple(StageSpec(width=w, depth=d, stride=s) for w, d, s in widths),
        branch=branch,
        shortcut=shortcut,
        stride_on=stride_on,
    )
    return Entry(
        family="plain" if shortcut == "none" else "resnet",
        spec=spec,
        source=IMAGENET_SOURCE,
        summary=summary,
        paper=paper,
        deviations=(*deviations, POOL),
    )


def _table_1(depth: int, top1: float | None = None, top5: float | None = None) -> Published:
    """Gather what table 1 (cost) and tables 2 and 3 (errors) say."""
    paper: dict[str, float | str] = {"macs": MACS[depth]}
    if top1 is not None:
        paper |= {"error_pct": top1, "protocol": TEN_CROP}
    if top5 is not None:
        paper["top5_error_pct"] = top5
    return paper


IMAGENET: tuple[Entry, ...] = (
    _imagenet("plain18", 18, "none", "no shortcuts", paper=_table_1(18, 27.94)),
    _imagenet("plain34", 34, "none", "no shortcuts", paper=_table_1(34, 28.54, 10.02)),
    _imagenet(
        "resnet18",
        18,
        "B",
        "projection (B)",
        paper=_table_1(18),
        deviations=("shortcut option B; the paper's 18 layers use option A (resnet18_a)",),
    ),
    _imagenet("resnet18_a", 18, "A", "zero padding (A)", paper=_table_1(18, 27.88)),
    _imagenet(
        "resnet34",
        34,
        "B",
        "projection (B)",
        paper=_table_1(34, 24.52, 7.46),
    ),
    _imagenet("resnet34_a", 34, "A", "zero padding (A)", paper=_table_1(34, 25.03, 7.76)),
    _imagenet("resnet34_c", 34, "C", "all projected (C)", paper=_table_1(34, 24.19, 7.40)),
    _imagenet("resnet50", 50, "B", "bottleneck (B)", paper=_table_1(50, 22.85, 6.71)),
    _imagenet(
        "resnet50_c",
        50,
        "C",
        "bottleneck (C)",
        paper={},
        deviations=("shortcut option C; the paper's bottleneck networks use option B",),
    ),
    _imagenet("resnet101", 101, "B", "bottleneck (B)", paper=_table_1(101, 21.75, 6.05)),
    _imagenet("resnet152", 152, "B", "bottleneck (B)", paper=_table_1(152, 21.43, 5.71)),
    *(
        _imagenet(
            f"resnet{depth}_v15",
            depth,
            "B",
            "bottleneck, v1.5",
            paper={},
            deviations=(V15,),
            stride_on="3x3",
        )
        for depth in (50, 101, 152)
    ),
)


CIFAR_SOURCE = "He et al. 2015, Deep Residual Learning for Image Recognition, section 4.2"
CIFAR_STEM = StemSpec(width=16, kernel=3, stride=1, max_pool=False)
CIFAR_DEPTHS = (20, 32, 44, 56, 110, 1202)
CIFAR_TEST = "CIFAR-10 test, single view"
CIFAR_PAPER: dict[int, Published] = {
    20: {"params": 0.27e6, "error_pct": 8.75, "protocol": CIFAR_TEST},
    32: {"params": 0.46e6, "error_pct": 7.51, "protocol": CIFAR_TEST},
    44: {"params": 0.66e6, "error_pct": 7.17, "protocol": CIFAR_TEST},
    56: {"params": 0.85e6, "error_pct": 6.97, "protocol": CIFAR_TEST},
    110: {
        "params": 1.7e6,
        "error_pct": 6.43,
        "error_mean_pct": 6.61,
        "error_std_pct": 0.16,
        "runs": 5,
        "protocol": f"{CIFAR_TEST}, best of 5 runs",
    },
    1202: {"params": 19.4e6, "error_pct": 7.93, "protocol": CIFAR_TEST},
}
NOT_IN_PAPER = "not trained in the paper: the plain counterpart of resnet1202"
OPTION_B = "shortcut option B; the paper's CIFAR networks use option A"


def cifar_stages(depth: int, branch: Branch = "basic") -> tuple[StageSpec, ...]:
    """Divide a CIFAR network's layers among three stages: 6n + 2 basic, 9n + 2 bottleneck."""
    per_block = 6 if branch == "basic" else 9
    assert (depth - 2) % per_block == 0
    blocks = (depth - 2) // per_block
    return tuple(
        StageSpec(width=width, depth=blocks, stride=stride)
        for width, stride in ((16, 1), (32, 2), (64, 2))
    )


def _cifar(
    name: str,
    depth: int,
    shortcut: ShortcutOption,
    summary: str,
    *,
    paper: Published | None = None,
    deviations: tuple[str, ...] = (),
) -> Entry:
    spec = ResNetSpec(
        name=name,
        num_classes=10,
        img_size=32,
        stem=CIFAR_STEM,
        stages=cifar_stages(depth),
        shortcut=shortcut,
    )
    return Entry(
        family="plain" if shortcut == "none" else "resnet",
        spec=spec,
        source=CIFAR_SOURCE,
        summary=summary,
        paper=paper or {},
        deviations=deviations,
    )


CIFAR: tuple[Entry, ...] = (
    *(
        _cifar(
            f"plain{depth}",
            depth,
            "none",
            "no shortcuts",
            deviations=(NOT_IN_PAPER,) if depth == 1202 else (),
        )
        for depth in CIFAR_DEPTHS
    ),
    *(
        _cifar(
            f"resnet{depth}",
            depth,
            "A",
            "zero padding (A)",
            paper=CIFAR_PAPER[depth],
        )
        for depth in CIFAR_DEPTHS
    ),
    *(
        _cifar(
            f"resnet{depth}_b",
            depth,
            "B",
            "projection (B)",
            deviations=(OPTION_B,),
        )
        for depth in CIFAR_DEPTHS
    ),
)


PHOTOGRAPHS: tuple[Entry, ...] = (
    Entry(
        family="resnet",
        spec=ResNetSpec(
            name="resnet18_half",
            img_size=64,
            stem=StemSpec(width=32, kernel=3, stride=2, max_pool=False),
            stages=tuple(
                StageSpec(width=w, depth=2, stride=s)
                for w, s in ((32, 1), (64, 2), (128, 2), (256, 2))
            ),
        ),
        source="reslab; blocks and stages of He et al. 2015, section 3.3",
        summary="64 to 96 px photos",
        deviations=(
            "half the width of resnet18",
            "a 3x3 stem of stride 2 without a max pool, so that 64 px leave a 4x4 map",
        ),
    ),
)

SECTIONS = (
    Section("The ImageNet networks of He et al. 2015 (arXiv 1512.03385), table 1", IMAGENET),
    Section(
        "The CIFAR networks of He et al. 2015 (arXiv 1512.03385), section 4.2: 6n + 2 layers", CIFAR
    ),
    Section(
        "Residual networks of our own for photographs that are neither CIFAR's nor ImageNet's size",
        PHOTOGRAPHS,
    ),
)
