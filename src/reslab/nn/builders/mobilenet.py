"""MobileNet (Howard et al. 2017, arXiv 1704.04861), as modules."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from reslab.nn.blocks import conv
from reslab.nn.build import builds
from reslab.nn.head import GlobalAveragePool, Head
from reslab.nn.init import initialise
from reslab.nn.network import Network
from reslab.nn.stage import Stage
from reslab.spec import StageSpec
from reslab.spec.mobilenet import Layer, MobileNetSpec


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
    initialise(network)
    return network


def strides_of(spec: MobileNetSpec) -> list[int]:
    """Return the strides of the stem and of the stages; small images lose the first two."""
    strides = [2, *(stage.stride for stage in spec.stages)]
    if spec.stem == "small":
        subsampling = [position for position, stride in enumerate(strides) if stride > 1]
        for position in subsampling[:2]:
            strides[position] = 1
    return strides


def make_stage(layer: Layer, stage: StageSpec, in_width: int, out_width: int, stride: int) -> Stage:
    """Line up the layers of a stage; the first one may subsample."""
    make = SeparableConvolution if layer == "separable" else FullConvolution
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, stage.depth + 1):
        blocks[f"block{number}"] = make(in_width, out_width, stride if number == 1 else 1)
        in_width = out_width
    return Stage(blocks)
