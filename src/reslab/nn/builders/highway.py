"""Highway networks (Srivastava et al. 2015, arXiv 1507.06228), as modules."""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import nn

from reslab.nn.build import builds
from reslab.nn.gates import start_gates
from reslab.nn.head import GlobalAveragePool, Head
from reslab.nn.highway import HighwayLayer, plain_layer
from reslab.nn.network import Network
from reslab.nn.stage import Stage
from reslab.spec.highway import HighwaySpec, HighwayStageSpec


@builds(HighwaySpec)
def build_highway(spec: HighwaySpec) -> Network:
    """Assemble the network layer for layer as the authors' Caffe specification."""
    width, reduction = spec.stem_width, 1
    maps = [(width, reduction)]
    stages = {}
    for number, stage in enumerate(spec.stages, start=1):
        children = _layers(stage, width)
        width = stage.width
        if spec.last_width and number == len(spec.stages):
            children["last"] = plain_layer(width, spec.last_width, 1, 0)
            width = spec.last_width
        stages[f"stage{number}"] = Stage(children)
        reduction *= 2 if stage.pool else 1
        maps.append((width, reduction))
    network = Network(
        spec,
        stem=nn.Sequential(
            OrderedDict(
                drop=nn.Dropout(spec.input_dropout),
                layer=plain_layer(
                    spec.in_chans, spec.stem_width, spec.stem_kernel, spec.stem_padding
                ),
            )
        ),
        stages=stages,
        head=_head(spec, width),
        features=maps,
        min_size=min_size(spec),
    )
    initialise_xavier(network)
    start_gates(network, spec.gate_bias)
    return network


def _layers(stage: HighwayStageSpec, in_width: int) -> OrderedDict[str, nn.Module]:
    """Line up a stage: pool and dropout, a plain layer where the width changes, highway layers."""
    children: OrderedDict[str, nn.Module] = OrderedDict()
    if stage.pool:
        children["pool"] = nn.MaxPool2d(stage.pool, stride=2, ceil_mode=True)  # as Caffe rounds
        children["drop"] = nn.Dropout(stage.dropout)
    if stage.width != in_width:
        children["plain"] = plain_layer(in_width, stage.width, 3, 1)
    for number in range(1, stage.depth + 1):
        children[f"highway{number}"] = HighwayLayer(stage.width)
    return children


def _head(spec: HighwaySpec, width: int) -> Head:
    features: nn.Module = GlobalAveragePool()
    if spec.grid:
        features = nn.Sequential(
            OrderedDict(
                pool=nn.MaxPool2d(2, stride=2, ceil_mode=True),
                fit=nn.AdaptiveAvgPool2d(spec.grid),  # nothing to do at the network's own size
                flatten=nn.Flatten(),
            )
        )
    return Head(
        features,
        num_features=width * max(1, spec.grid**2),
        num_classes=spec.num_classes,
        dropout=spec.dropout,
    )


def min_size(spec: HighwaySpec) -> int:
    """Return the least side of an image that leaves a position after every layer."""
    size = 1
    for stage in reversed(spec.stages):
        if stage.pool:  # ceil((n - pool) / 2) + 1 positions, of which `size` are needed
            size = max(1, 2 * (size - 2) + stage.pool + 1)
    return max(1, size + spec.stem_kernel - 1 - 2 * spec.stem_padding)


def initialise_xavier(network: nn.Module) -> None:
    """W ~ U(-a, a) with a = sqrt(3 / fan_in), b = 0, the gates' convolutions included.

    Source: the filler "xavier" of the authors' Caffe specification, which counts inputs only.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:
            bound = math.sqrt(3 / module.weight[0].numel())
            nn.init.uniform_(module.weight, -bound, bound)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
