"""Pre-activation networks (He et al. 2016, arXiv 1603.05027), as modules."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from reslab.nn.blocks import conv
from reslab.nn.build import builds
from reslab.nn.builders.assembler import Place, assemble, out_width
from reslab.nn.head import GlobalAveragePool
from reslab.nn.init import initialise
from reslab.nn.network import Network
from reslab.nn.preact import (
    AdditiveBlock,
    SharedActivationBlock,
    preact_basic_layers,
    preact_bottleneck_layers,
)
from reslab.nn.shortcuts import make_shortcut
from reslab.nn.stem import make_stem
from reslab.spec.preact import PreActSpec


@builds(PreActSpec)
def build_preact(spec: PreActSpec) -> Network:
    """Assemble a pre-activation network; the last batch norm and ReLU belong to the head."""
    if spec.stem_activation:
        stem = make_stem(spec.stem, spec.in_chans)
    else:
        first = conv(spec.in_chans, spec.stem.width, spec.stem.kernel, spec.stem.stride)
        stem = nn.Sequential(OrderedDict(conv=first))
    network = assemble(
        spec,
        stem=stem,
        make_block=lambda place: make_block(spec, place),
        features=nn.Sequential(
            OrderedDict(
                norm=nn.BatchNorm2d(out_width(spec, spec.stages[-1])),
                act=nn.ReLU(),
                pool=GlobalAveragePool(),
            )
        ),
    )
    initialise(network)
    return network


def make_block(spec: PreActSpec, place: Place) -> nn.Module:
    """Make one unit; the first of a stage shares its activation, or has the stem's."""
    if spec.branch == "basic":
        layers = preact_basic_layers(place.in_width, place.width, place.stride)
    else:
        layers = preact_bottleneck_layers(place.in_width, place.width, place.stride, spec.stride_on)
    shortcut = _shortcut(spec, place)
    if not place.opens_stage:
        return AdditiveBlock(nn.Sequential(layers), shortcut)
    activation = nn.Sequential(OrderedDict(norm=layers.pop("norm1"), act=layers.pop("act1")))
    branch = nn.Sequential(layers)
    if place.opens_network and spec.stem_activation:
        return AdditiveBlock(branch, shortcut)
    return SharedActivationBlock(activation, branch, shortcut)


def _shortcut(spec: PreActSpec, place: Place) -> nn.Module:
    """Choose by the paper's option as everywhere, but a projection has no batch norm."""
    changes = place.in_width != place.out_width or place.stride != 1
    if spec.shortcut == "C" or (spec.shortcut == "B" and changes):
        projection = conv(place.in_width, place.out_width, 1, place.stride)
        return nn.Sequential(OrderedDict(conv=projection))
    return make_shortcut(place.in_width, place.out_width, place.stride, "A")
