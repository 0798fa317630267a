"""Pre-activation networks (He et al. 2016, arXiv 1603.05027), sections 4 and 5."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import (
    BOTTLENECK_EXPANSION,
    AdditiveBlock,
    SharedActivationBlock,
    StrideOn,
    conv,
    make_shortcut,
)
from reslab.networks.network import GlobalAveragePool, Network, builds, initialize
from reslab.networks.resnet import (
    CIFAR_STEM,
    IMAGENET_DEPTHS,
    IMAGENET_STEM,
    POOL,
    BlockPosition,
    Branch,
    ResNetSpec,
    StageSpec,
    cifar_stages,
    make_stem,
    network_of_blocks,
    out_width,
)
from reslab.networks.spec import Entry, Published, Section, spec_kind


@spec_kind("preact")
@dataclasses.dataclass(frozen=True, kw_only=True)
class PreActSpec(ResNetSpec):
    """A residual network of pre-activation units, x + F(x) with F = conv relu BN conv relu BN.

    The first unit of each stage applies its first batch norm and ReLU before the two paths
    part; the others to the branch alone. Projections have no batch norm. A batch norm and a
    ReLU follow the last unit.

    Args:
        stem_activation: False as for the paper's CIFAR networks: the first convolution is
            alone, and the batch norm and ReLU behind it are those that the first unit's paths
            share. True as for ImageNet: they follow the convolution directly, in front of the
            max pool, and the first unit has none of its own.

    Source: He et al. 2016, section 4 and appendix; released code resnet-1k-layers (CIFAR) and
    fb.resnet.torch (ImageNet).
    """

    stem_activation: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortcut == "none":
            raise UsageError("pre-activation units have a shortcut, received shortcut 'none'")


def preact_basic_layers(in_width: int, width: int, stride: int) -> OrderedDict[str, nn.Module]:
    """F(x) = W2 relu(BN(W1 relu(BN(x)))) with two 3x3 convolutions; the first one subsamples.

    Source: He et al. 2016, figure 4 (e).
    """
    return OrderedDict(
        norm1=nn.BatchNorm2d(in_width),
        act1=nn.ReLU(),
        conv1=conv(in_width, width, 3, stride),
        norm2=nn.BatchNorm2d(width),
        act2=nn.ReLU(),
        conv2=conv(width, width, 3),
    )


def preact_bottleneck_layers(
    in_width: int, width: int, stride: int, stride_on: StrideOn
) -> OrderedDict[str, nn.Module]:
    """F(x) = W3 relu(BN(W2 relu(BN(W1 relu(BN(x)))))) with 1x1, 3x3 and 1x1 convolutions.

    Args:
        in_width: channels of the input.
        width: channels of the 3x3 convolution; the output has four times as many.
        stride: subsampling.
        stride_on: the convolution that subsamples.

    Source: He et al. 2016, figure 4 (e) and appendix.
    """
    return OrderedDict(
        norm1=nn.BatchNorm2d(in_width),
        act1=nn.ReLU(),
        conv1=conv(in_width, width, 1, stride if stride_on == "1x1" else 1),
        norm2=nn.BatchNorm2d(width),
        act2=nn.ReLU(),
        conv2=conv(width, width, 3, stride if stride_on == "3x3" else 1),
        norm3=nn.BatchNorm2d(width),
        act3=nn.ReLU(),
        conv3=conv(width, BOTTLENECK_EXPANSION * width, 1),
    )


@builds(PreActSpec)
def build_preact(spec: PreActSpec) -> Network:
    """Assemble a pre-activation network; the last batch norm and ReLU belong to the head."""
    if spec.stem_activation:
        stem = make_stem(spec.stem, spec.in_chans)
    else:
        first = conv(spec.in_chans, spec.stem.width, spec.stem.kernel, spec.stem.stride)
        stem = nn.Sequential(OrderedDict(conv=first))
    network = network_of_blocks(
        spec,
        stem=stem,
        make_block=lambda position: make_block(spec, position),
        features=nn.Sequential(
            OrderedDict(
                norm=nn.BatchNorm2d(out_width(spec, spec.stages[-1])),
                act=nn.ReLU(),
                pool=GlobalAveragePool(),
            )
        ),
    )
    initialize(network)
    return network


def make_block(spec: PreActSpec, position: BlockPosition) -> nn.Module:
    """Make one unit; the first of a stage shares its activation, or has the stem's."""
    if spec.branch == "basic":
        layers = preact_basic_layers(position.in_width, position.width, position.stride)
    else:
        layers = preact_bottleneck_layers(
            position.in_width, position.width, position.stride, spec.stride_on
        )
    shortcut = _shortcut(spec, position)
    if not position.opens_stage:
        return AdditiveBlock(nn.Sequential(layers), shortcut)
    activation = nn.Sequential(OrderedDict(norm=layers.pop("norm1"), act=layers.pop("act1")))
    branch = nn.Sequential(layers)
    if position.opens_network and spec.stem_activation:
        return AdditiveBlock(branch, shortcut)
    return SharedActivationBlock(activation, branch, shortcut)


def _shortcut(spec: PreActSpec, position: BlockPosition) -> nn.Module:
    """Choose by the paper's option as everywhere, but a projection has no batch norm."""
    changes = position.in_width != position.out_width or position.stride != 1
    if spec.shortcut == "C" or (spec.shortcut == "B" and changes):
        projection = conv(position.in_width, position.out_width, 1, position.stride)
        return nn.Sequential(OrderedDict(conv=projection))
    return make_shortcut(position.in_width, position.out_width, position.stride, "A")


PAPER = "He et al. 2016, Identity Mappings in Deep Residual Networks"
PROTOCOL = "CIFAR-10 test, single view, median of 5 runs"
FAN_IN = "weights start from N(0, 2 / fan-in); the authors' released code divides by fan-out"
CROP_320 = "ILSVRC 2012 validation, single model, one 320-pixel crop"
NOT_IN_PAPER = "this depth is not in the paper"
LAYOUT = (
    "laid out as fb.resnet.torch: stride 2 on a bottleneck's 3x3 convolution, batch norm and "
    "ReLU in front of the max pool, none of its own in the first unit"
)
OPTION_A = (
    "the paper does not say how the input fits where dimensions change: here the activated input "
    "is zero-padded, as option A of 2015"
)
CIFAR_PAPER: dict[int, Published] = {
    110: {"error_pct": 6.37, "protocol": PROTOCOL},
    164: {"error_pct": 5.46, "params": 1.7e6, "protocol": PROTOCOL},
    1001: {
        "error_pct": 4.92,
        "error_mean_pct": 4.89,
        "error_std_pct": 0.14,
        "runs": 5,
        "params": 10.2e6,
        "protocol": PROTOCOL,
    },
}
IMAGENET_PAPER: dict[int, Published] = {
    152: {"error_pct": 21.1, "top5_error_pct": 5.5, "protocol": CROP_320},
    200: {"error_pct": 20.7, "top5_error_pct": 5.3, "protocol": CROP_320},
}


def _cifar(depth: int) -> Entry:
    branch: Branch = "bottleneck" if depth in (164, 1001) else "basic"
    notes = (OPTION_A, FAN_IN) if branch == "basic" else (FAN_IN,)
    return Entry(
        family="preact",
        spec=PreActSpec(
            name=f"preact_resnet{depth}",
            num_classes=10,
            img_size=32,
            stem=CIFAR_STEM,
            stages=cifar_stages(depth, branch),
            branch=branch,
            shortcut="A" if branch == "basic" else "B",
        ),
        source=f"{PAPER}, section 4, tables 2 to 4 and appendix",
        summary="zero padding (A)" if branch == "basic" else "bottleneck (B)",
        paper=CIFAR_PAPER.get(depth, {}),
        deviations=notes if depth in CIFAR_PAPER else (NOT_IN_PAPER, *notes),
    )


def _imagenet(depth: int) -> Entry:
    depths = {**IMAGENET_DEPTHS, 200: (3, 24, 36, 3)}[depth]
    branch: Branch = "basic" if depth < 50 else "bottleneck"
    widths = zip((64, 128, 256, 512), depths, (1, 2, 2, 2), strict=True)
    notes = (LAYOUT, POOL, FAN_IN)
    return Entry(
        family="preact",
        spec=PreActSpec(
            name=f"preact_resnet{depth}",
            stem=IMAGENET_STEM,
            stages=tuple(StageSpec(width=w, depth=d, stride=s) for w, d, s in widths),
            branch=branch,
            shortcut="B",
            stride_on="3x3",
            stem_activation=True,
        ),
        source=f"{PAPER}, section 5 and table 5; fb.resnet.torch, models/preresnet.lua",
        summary="projection (B)" if branch == "basic" else "bottleneck (B)",
        paper=IMAGENET_PAPER.get(depth, {}),
        deviations=notes if depth in IMAGENET_PAPER else (NOT_IN_PAPER, *notes),
    )


ENTRIES: tuple[Entry, ...] = (
    *(_cifar(depth) for depth in (20, 32, 44, 56, 110, 164, 1001)),
    *(_imagenet(depth) for depth in (18, 34, 50, 101, 152, 200)),
)

SECTIONS = (
    Section(
        "Pre-activation networks (He et al. 2016, arXiv 1603.05027), sections 4 and 5", ENTRIES
    ),
)
