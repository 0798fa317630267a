"""Inception-v4 and Inception-ResNet (Szegedy et al. 2016, arXiv 1602.07261), as modules."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from reslab.nn.blocks import PlainBlock
from reslab.nn.build import builds
from reslab.nn.builders.inception_plans import (
    PLANS,
    SMALL_MODULES,
    SMALL_REDUCTIONS,
    SMALL_WIDTH,
    Plan,
)
from reslab.nn.head import GlobalAveragePool, Head
from reslab.nn.inception_blocks import (
    Layer,
    LinearResidualBlock,
    MakeConv,
    Pool,
    ScaledResidualBlock,
    conv_norm_act,
    expanded,
    make_fork,
    make_layers,
    out_width,
    padded,
    without_strides,
)
from reslab.nn.init import initialise
from reslab.nn.network import Network
from reslab.nn.stage import Stage
from reslab.nn.stem import make_stem
from reslab.spec import NetworkSpec, StemSpec
from reslab.spec.inception import InceptionSpec, SmallInceptionSpec

# Least side from which every unpadded layer of the published networks has a window.
LEAST_PUBLISHED = 75
# The authors' code adds 0.001 to the variance in every batch norm.
published_conv: MakeConv = functools.partial(conv_norm_act, eps=1e-3)


@builds(InceptionSpec)
def build_inception(spec: InceptionSpec) -> Network:
    """Line up stem, modules A, B and C, each kind behind what halves the map, and head.

    Weights start by the rule of `initialise`; the paper names none.
    """
    plan = PLANS[spec.variant]
    stem, entry, openings = plan.stem, plan.entry, plan.reductions
    small = spec.stem == "small"
    if small:
        stem, entry = without_strides(stem), without_strides(entry)
        openings = tuple(padded(layers) for layers in openings)
    width, reduction = out_width(spec.in_chans, stem), 1 if small else 2
    features = [(width, reduction)]
    stages = {"stage1": make_stage(width, entry, [], published_conv)}
    width, reduction = out_width(width, entry), 1 if small else 4
    features.append((width, reduction))
    for number, opening in enumerate(openings):
        in_width, width, reduction = width, out_width(width, opening), 2 * reduction
        blocks = make_modules(spec, plan, number, width)
        if number == 2 and plan.last is not None:
            blocks.append(published_conv(width, plan.last))
            width = plan.last.width
        stages[f"stage{number + 2}"] = make_stage(in_width, opening, blocks, published_conv)
        features.append((width, reduction))
    network = Network(
        spec,
        stem=make_layers(spec.in_chans, stem, published_conv),
        stages=stages,
        head=make_head(spec, width),
        features=features,
        min_size=None if small else LEAST_PUBLISHED,
    )
    initialise(network)
    return network


def make_modules(spec: InceptionSpec, plan: Plan, number: int, width: int) -> list[nn.Module]:
    """Make all modules A (number 0), B (1) or C (2), which read and put out `width` channels."""
    module, depth = plan.modules[number], spec.depths[number]
    if spec.scales is None:
        return [make_fork(width, module, published_conv) for _ in range(depth)]
    branches = [expanded(width, module, published_conv) for _ in range(depth)]
    blocks: list[nn.Module] = [ScaledResidualBlock(b, spec.scales[number]) for b in branches]
    if number == 2 and plan.last_is_linear:
        blocks[-1] = LinearResidualBlock(branches[-1])
    return blocks


@builds(SmallInceptionSpec)
def build_small_inception(spec: SmallInceptionSpec) -> Network:
    """Line up a stem and modules A, B and C with a reduction before B and before C.

    Weights start by the rule of `initialise`.
    """
    small = spec.stem == "small"
    stem = StemSpec(
        width=SMALL_WIDTH, kernel=3 if small else 7, stride=1 if small else 2, max_pool=not small
    )
    pool: tuple[Layer, ...] = (Pool("max", stride=2),) if stem.max_pool else ()
    openings = (pool, *SMALL_REDUCTIONS)
    width, reduction = SMALL_WIDTH, stem.stride
    features = [(width, reduction)]
    stages = {}
    for number, (opening, module) in enumerate(zip(openings, SMALL_MODULES, strict=True)):
        in_width, width = width, out_width(width, opening)
        branches = [expanded(width, module, conv_norm_act) for _ in range(spec.depths[number])]
        blocks = [
            PlainBlock(branch) if spec.scale is None else ScaledResidualBlock(branch, spec.scale)
            for branch in branches
        ]
        reduction *= 2 if opening else 1
        stages[f"stage{number + 1}"] = make_stage(in_width, opening, blocks, conv_norm_act)
        features.append((width, reduction))
    network = Network(
        spec,
        stem=make_stem(stem, spec.in_chans),
        stages=stages,
        head=make_head(spec, width),
        features=features,
    )
    initialise(network)
    return network


def make_stage(
    in_width: int, opening: Sequence[Layer], blocks: Sequence[nn.Module], make_conv: MakeConv
) -> Stage:
    """Line up a stage: the layers that change size or width, then its blocks."""
    children = OrderedDict(make_layers(in_width, opening, make_conv).named_children())
    children.update({f"block{number}": block for number, block in enumerate(blocks, start=1)})
    return Stage(children)


def make_head(spec: NetworkSpec, width: int) -> Head:
    """Make the global average, the dropout and the linear classifier."""
    return Head(
        GlobalAveragePool(),
        num_features=width,
        num_classes=spec.num_classes,
        dropout=spec.dropout,
    )
