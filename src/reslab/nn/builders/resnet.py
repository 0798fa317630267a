"""The assembler of plain and residual networks."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from reslab.nn.blocks import (
    BOTTLENECK_EXPANSION,
    PlainBlock,
    ResidualBlock,
    basic_branch,
    bottleneck_branch,
)
from reslab.nn.build import builds
from reslab.nn.head import GlobalAveragePool, Head
from reslab.nn.init import initialise
from reslab.nn.network import Network
from reslab.nn.shortcuts import make_shortcut
from reslab.nn.stage import Stage
from reslab.nn.stem import make_pool, make_stem
from reslab.spec import ResNetSpec, StageSpec


@builds(ResNetSpec)
def build_resnet(spec: ResNetSpec) -> Network:
    """Assemble stem, stages and head as in He et al. 2015, tables 1 and 6."""
    width, reduction = spec.stem.width, spec.stem.stride
    features = [(width, reduction)]
    stages = {}
    for number, stage in enumerate(spec.stages, start=1):
        pooled = number == 1 and spec.stem.max_pool
        stages[f"stage{number}"] = make_stage(spec, stage, width, pooled)
        width = out_width(spec, stage)
        reduction *= stage.stride * (2 if pooled else 1)
        features.append((width, reduction))
    network = Network(
        spec,
        stem=make_stem(spec.stem, spec.in_chans),
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


def make_stage(spec: ResNetSpec, stage: StageSpec, in_width: int, pooled: bool) -> Stage:
    """Line up a stage: the max pool where it opens with one, then its blocks."""
    children: OrderedDict[str, nn.Module] = OrderedDict()
    if pooled:
        children["pool"] = make_pool()
    for number in range(1, stage.depth + 1):
        stride = stage.stride if number == 1 else 1
        children[f"block{number}"] = make_block(spec, stage, in_width, stride)
        in_width = out_width(spec, stage)
    return Stage(children)


def make_block(spec: ResNetSpec, stage: StageSpec, in_width: int, stride: int) -> nn.Module:
    """Make one block: the branch, and the shortcut unless the network is plain."""
    if spec.branch == "basic":
        branch = basic_branch(in_width, stage.width, stride)
    else:
        branch = bottleneck_branch(in_width, stage.width, stride, spec.stride_on)
    if spec.shortcut == "none":
        return PlainBlock(branch)
    shortcut = make_shortcut(in_width, out_width(spec, stage), stride, spec.shortcut)
    return ResidualBlock(branch, shortcut)


def out_width(spec: ResNetSpec, stage: StageSpec) -> int:
    """Return the channels that leave a block of the stage."""
    return stage.width * (BOTTLENECK_EXPANSION if spec.branch == "bottleneck" else 1)
