"""MobileNet (Howard et al. 2017, arXiv 1704.04861)."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Literal, Self

from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import conv
from reslab.networks.network import GlobalAveragePool, Head, Network, Stage, builds, initialize
from reslab.networks.resnet import StageSpec
from reslab.networks.spec import Entry, NetworkSpec, Published, Section, Stem, spec_kind

LayerType = Literal["separable", "full"]


@spec_kind("mobilenet_v1")
@dataclasses.dataclass(frozen=True, kw_only=True)
class MobileNetSpec(NetworkSpec):
    """A first convolution, then stages of depthwise separable convolutions.

    The paper's resolution multiplier is `img_size`.

    Args:
        stages: width, number and first stride of the layers, before the width multiplier.
        stem_width: channels of the first convolution, before the width multiplier.
        width_multiplier: the paper's alpha, in (0, 2]: what every number of channels is
            multiplied with.
        layer: "separable", or "full" for a 3x3 convolution in place of each pair.
        stem: "small" takes the stride from the first convolution and from the first stage
            that has one: images of 32 px then end in maps of 4x4.
    """

    stages: tuple[StageSpec, ...]
    stem_width: int = 32
    width_multiplier: float = 1.0
    layer: LayerType = "separable"
    stem: Stem = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.width_multiplier <= 2:
            raise UsageError(
                f"width_multiplier must be in (0, 2], received {self.width_multiplier}"
            )
        if not self.stages:
            raise UsageError(f"network '{self.name}' has no stages")

    def scaled(self, width: int) -> int:
        """Return a number of channels after the width multiplier, at least 1."""
        return max(1, round(self.width_multiplier * width))

    def with_stem(self, stem: Stem) -> Self:
        """Give the network the first layers for small or for large images."""
        return dataclasses.replace(self, stem=stem)


class SeparableConvolution(nn.Sequential):
    """y = relu(BN(P relu(BN(D x)))): D filters each channel by itself, P is a 1x1 convolution.

    Args:
        in_width: channels of the input.
        out_width: channels of the output.
        stride: subsampling, by D.

    Source: Howard et al. 2017, section 3.1 and figure 3 right.
    """

    def __init__(self, in_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_width, in_width, 3, stride=stride, padding=1, groups=in_width, bias=False
        )
        self.norm1 = nn.BatchNorm2d(in_width)
        self.act1 = nn.ReLU()
        self.pointwise = conv(in_width, out_width, 1)
        self.norm2 = nn.BatchNorm2d(out_width)
        self.act2 = nn.ReLU()


class FullConvolution(nn.Sequential):
    """y = relu(BN(W x)), a 3x3 convolution.

    Args:
        in_width: channels of the input.
        out_width: channels of the output.
        stride: subsampling.

    Source: Howard et al. 2017, figure 3 left.
    """

    def __init__(self, in_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.conv = conv(in_width, out_width, 3, stride)
        self.norm = nn.BatchNorm2d(out_width)
        self.act = nn.ReLU()


@builds(MobileNetSpec)
def build_mobilenet(spec: MobileNetSpec) -> Network:
    """Assemble stem, layers and head as in Howard et al. 2017, table 1.

    The paper does not say how its weights begin; here it is He et al. 2015, as everywhere.
    """
    strides = strides_of(spec)
    width, reduction = spec.scaled(spec.stem_width), strides[0]
    stem = OrderedDict(
        conv=conv(spec.in_chans, width, 3, reduction), norm=nn.BatchNorm2d(width), act=nn.ReLU()
    )
    features = [(width, reduction)]
    stages = {}
    for number, (stage, stride) in enumerate(zip(spec.stages, strides[1:], strict=True), start=1):
        out_width = spec.scaled(stage.width)
        stages[f"stage{number}"] = make_stage(spec.layer, stage, width, out_width, stride)
        width, reduction = out_width, reduction * stride
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


def strides_of(spec: MobileNetSpec) -> list[int]:
    """Return the strides of the stem and of the stages; small images lose the first two."""
    strides = [2, *(stage.stride for stage in spec.stages)]
    if spec.stem == "small":
        subsampling = [position for position, stride in enumerate(strides) if stride > 1]
        for position in subsampling[:2]:
            strides[position] = 1
    return strides


def make_stage(
    layer: LayerType, stage: StageSpec, in_width: int, out_width: int, stride: int
) -> Stage:
    """Line up the layers of a stage; the first one may subsample."""
    make = SeparableConvolution if layer == "separable" else FullConvolution
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, stage.depth + 1):
        blocks[f"block{number}"] = make(in_width, out_width, stride if number == 1 else 1)
        in_width = out_width
    return Stage(blocks)


SOURCE = "Howard et al. 2017, MobileNets (arXiv 1704.04861), table 1"
PROTOCOL = "ImageNet, single view"
DEPTHS = (1, 2, 2, 6, 2)
SHALLOW_DEPTHS = (1, 2, 2, 1, 2)
STRIDE = (
    "the last depthwise convolution has stride 1; table 1 prints stride 2, which contradicts "
    "the 7x7 map it prints as the output"
)
START = (
    "weights begin as in He et al. 2015 (arXiv 1502.01852), and batch norms have epsilon 1e-5; "
    "the paper says neither"
)


def _entry(
    name: str,
    summary: str,
    table: str,
    paper: Published,
    *,
    width_multiplier: float = 1.0,
    depths: tuple[int, ...] = DEPTHS,
    layer: LayerType = "separable",
) -> Entry:
    shapes = zip((64, 128, 256, 512, 1024), depths, (1, 2, 2, 2, 2), strict=True)
    return Entry(
        family="mobilenet",
        spec=MobileNetSpec(
            name=name,
            stages=tuple(StageSpec(width=w, depth=d, stride=s) for w, d, s in shapes),
            width_multiplier=width_multiplier,
            layer=layer,
        ),
        source=f"{SOURCE} and {table}",
        summary=summary,
        paper=paper,
        deviations=(STRIDE, START),
    )


def _paper(accuracy: float, macs: float, params: float) -> Published:
    """Gather what tables 4 to 7 say, the accuracy as an error."""
    return {
        "error_pct": round(100 - accuracy, 2),
        "macs": macs * 1e6,
        "params": params * 1e6,
        "protocol": PROTOCOL,
    }


ENTRIES: tuple[Entry, ...] = (
    _entry("mobilenet_v1", "separable", "table 6", _paper(70.6, 569, 4.2)),
    _entry(
        "mobilenet_v1_075",
        "0.75 the width",
        "table 6",
        _paper(68.4, 325, 2.6),
        width_multiplier=0.75,
    ),
    _entry(
        "mobilenet_v1_050",
        "half the width",
        "table 6",
        _paper(63.7, 149, 1.3),
        width_multiplier=0.5,
    ),
    _entry(
        "mobilenet_v1_025",
        "0.25 the width",
        "table 6",
        _paper(50.6, 41, 0.5),
        width_multiplier=0.25,
    ),
    _entry(
        "mobilenet_v1_shallow",
        "five layers less",
        "table 5",
        _paper(65.3, 307, 2.9),
        depths=SHALLOW_DEPTHS,
    ),
    _entry(
        "mobilenet_v1_conv",
        "full convolutions",
        "table 4",
        _paper(71.7, 4866, 29.3),
        layer="full",
    ),
)

SECTIONS = (Section("MobileNet (Howard et al. 2017, arXiv 1704.04861)", ENTRIES),)
