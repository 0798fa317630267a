"""Stages of residual units with a stem before and a head behind, whatever the unit."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from reslab.nn.blocks import BOTTLENECK_EXPANSION, basic_branch, bottleneck_branch
from reslab.nn.head import Head
from reslab.nn.network import Network
from reslab.nn.stage import Stage
from reslab.nn.stem import make_pool
from reslab.spec import ResNetSpec, StageSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
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


def assemble(
    spec: ResNetSpec,
    *,
    stem: nn.Module,
    make_block: Callable[[Place], nn.Module],
    features: nn.Module,
) -> Network:
    """Line up stem, stages and head, with blocks of any kind.

    Args:
        spec: the network.
        stem: its first layers; a max pool opens the first stage.
        make_block: from a block's place to the block.
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
            place = Place(
                in_width=width,
                width=stage.width,
                out_width=out_width(spec, stage),
                stride=stage.stride if block == 1 else 1,
                opens_stage=block == 1,
                opens_network=block == number == 1,
            )
            children[f"block{block}"] = make_block(place)
            width = place.out_width
        stages[f"stage{number}"] = Stage(children)
        reduction *= stage.stride
        maps.append((width, reduction))
    head = Head(features, num_features=width, num_classes=spec.num_classes, dropout=spec.dropout)
    return Network(spec, stem=stem, stages=stages, head=head, features=maps)


def make_branch(spec: ResNetSpec, place: Place) -> nn.Sequential:
    """Make the original F of a block: conv BN relu conv BN, or the bottleneck."""
    if spec.branch == "basic":
        return basic_branch(place.in_width, place.width, place.stride)
    return bottleneck_branch(place.in_width, place.width, place.stride, spec.stride_on)


def out_width(spec: ResNetSpec, stage: StageSpec) -> int:
    """Return the channels that leave a block of the stage."""
    return stage.width * (BOTTLENECK_EXPANSION if spec.branch == "bottleneck" else 1)
