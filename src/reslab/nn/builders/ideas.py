"""Small networks that put one idea of the line into a plain network, as modules."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from reslab.nn.blocks import PlainBlock, ResidualBlock
from reslab.nn.build import builds
from reslab.nn.gates import start_gates
from reslab.nn.head import GlobalAveragePool, Head
from reslab.nn.highway import HighwayLayer, plain_layer
from reslab.nn.init import initialise
from reslab.nn.network import Network
from reslab.nn.stage import Stage
from reslab.spec.ideas import HighwayCNNSpec, TwoLayerBlocksSpec


@builds(HighwayCNNSpec)
def build_highway_cnn(spec: HighwayCNNSpec) -> Network:
    """Line up convolutions, each followed by a highway layer where the specification says so."""
    stages, conv_number = {}, 0
    for number, depth in enumerate(spec.depths, start=1):
        children = _opening(number)
        for _ in range(depth):
            conv_number += 1
            if conv_number > 1:  # the first one is the stem
                children[f"conv{conv_number}"] = plain_layer(spec.width, spec.width, 3, 1)
            if spec.highway:
                children[f"highway{conv_number}"] = HighwayLayer(spec.width)
        stages[f"stage{number}"] = Stage(children)
    network = _network(spec, stages)
    start_gates(network, spec.gate_bias)
    return network


@builds(TwoLayerBlocksSpec)
def build_two_layer_blocks(spec: TwoLayerBlocksSpec) -> Network:
    """Line up the two-layer blocks, residual or plain."""
    stages = {}
    for number, depth in enumerate(spec.depths, start=1):
        children = _opening(number)
        for block in range(1, depth + 1):
            branch = two_layers(spec.width)
            children[f"block{block}"] = (
                ResidualBlock(branch, nn.Identity()) if spec.shortcut else PlainBlock(branch)
            )
        stages[f"stage{number}"] = Stage(children)
    return _network(spec, stages)


def two_layers(width: int) -> nn.Sequential:
    """z[l+2] = W[l+2] g(W[l+1] a[l] + b[l+1]) + b[l+2] with 3x3 convolutions."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(width, width, 3, padding=1),
            act1=nn.ReLU(),
            conv2=nn.Conv2d(width, width, 3, padding=1),
        )
    )


def _opening(number: int) -> OrderedDict[str, nn.Module]:
    """Begin a stage: all but the first one halve the map, rounding up."""
    pool = OrderedDict[str, nn.Module](pool=nn.MaxPool2d(2, stride=2, ceil_mode=True))
    return pool if number > 1 else OrderedDict()


def _network(spec: HighwayCNNSpec | TwoLayerBlocksSpec, stages: dict[str, Stage]) -> Network:
    network = Network(
        spec,
        stem=plain_layer(spec.in_chans, spec.width, 3, 1),
        stages=stages,
        head=Head(
            GlobalAveragePool(),
            num_features=spec.width,
            num_classes=spec.num_classes,
            dropout=spec.dropout,
        ),
        features=[(spec.width, 1), *((spec.width, 2**number) for number in range(len(stages)))],
    )
    initialise(network)
    return network
