"""Plain and residual networks of He et al. 2015 (arXiv 1512.03385), as modules."""

from __future__ import annotations

from torch import nn

from reslab.nn.blocks import PlainBlock, ResidualBlock
from reslab.nn.build import builds
from reslab.nn.builders.assembler import Place, assemble, make_branch
from reslab.nn.head import GlobalAveragePool
from reslab.nn.init import initialise
from reslab.nn.network import Network
from reslab.nn.shortcuts import make_shortcut
from reslab.nn.stem import make_stem
from reslab.spec import ResNetSpec


@builds(ResNetSpec)
def build_resnet(spec: ResNetSpec) -> Network:
    """Assemble stem, stages and head as in He et al. 2015, tables 1 and 6."""
    network = assemble(
        spec,
        stem=make_stem(spec.stem, spec.in_chans),
        make_block=lambda place: make_block(spec, place),
        features=GlobalAveragePool(),
    )
    initialise(network)
    return network


def make_block(spec: ResNetSpec, place: Place) -> nn.Module:
    """Make one block: the branch, and the shortcut unless the network is plain."""
    branch = make_branch(spec, place)
    if spec.shortcut == "none":
        return PlainBlock(branch)
    shortcut = make_shortcut(place.in_width, place.out_width, place.stride, spec.shortcut)
    return ResidualBlock(branch, shortcut)
