"""VGG A to E (Simonyan and Zisserman 2014, arXiv 1409.1556), and VGG with shortcuts, as modules."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from reslab.nn.blocks import ResidualBlock
from reslab.nn.build import builds
from reslab.nn.fully_connected import make_fully_connected_head
from reslab.nn.init import initialise
from reslab.nn.lrn import LocalResponseNorm
from reslab.nn.network import Network
from reslab.nn.shortcuts import make_shortcut
from reslab.nn.stage import Stage
from reslab.spec.vgg import VggSpec, VggStageSpec


@builds(VggSpec)
def build_vgg(spec: VggSpec) -> Network:
    """Assemble the first convolution, the stages with their pools, and the head.

    The first convolution is the stem, because it alone sees the image; where it is all of its
    stage, the stages begin with the second.
    """
    first = spec.stages[0]
    stem = _layer(spec, "1_1", spec.in_chans, first.width, first.kernels[0])
    if spec.lrn:
        stem["norm1"] = LocalResponseNorm()
    stages, features = {}, [(first.width, 1)]
    width = first.width
    for number, stage in enumerate(spec.stages, start=1):
        children = _stage(spec, number, stage, width)
        width = stage.width
        if children:
            stages[f"stage{number}"] = Stage(children)
            features.append((width, 2 ** (number - 1)))
    head = make_fully_connected_head(spec, width, _pool())
    smallest = spec.fc_grid if spec.fully_convolutional else 1
    network = Network(
        spec,
        stem=nn.Sequential(stem),
        stages=stages,
        head=head,
        features=features,
        min_size=smallest * 2 ** len(spec.stages),
    )
    initialise(network)
    head.begin()
    if spec.shortcut != "none" and not spec.batch_norm:
        _calm(network)
    return network


def _stage(
    spec: VggSpec, number: int, stage: VggStageSpec, in_width: int
) -> OrderedDict[str, nn.Module]:
    """Line up pool and convolutions; the first stage lacks the pool and the stem's convolution."""
    children: OrderedDict[str, nn.Module] = OrderedDict()
    if number > 1:
        children["pool"] = _pool()
    if number > 1 and spec.shortcut != "none":
        children.update(_residual_blocks(spec, number, stage, in_width))
        return children
    for place, kernel in enumerate(stage.kernels, start=1):
        if (number, place) != (1, 1):
            children.update(_layer(spec, f"{number}_{place}", in_width, stage.width, kernel))
        in_width = stage.width
    return children


def _layer(
    spec: VggSpec, name: str, in_width: int, width: int, kernel: int
) -> OrderedDict[str, nn.Module]:
    """relu(W x + b), or relu(BN(W x + b)), with names as in the paper's successors: conv3_1."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers[f"conv{name}"] = nn.Conv2d(in_width, width, kernel, padding=kernel // 2)
    if spec.batch_norm:
        layers[f"norm{name}"] = nn.BatchNorm2d(width)
    layers[f"act{name}"] = nn.ReLU()
    return layers


def _residual_blocks(
    spec: VggSpec, number: int, stage: VggStageSpec, in_width: int
) -> OrderedDict[str, nn.Module]:
    """relu(F(x) + shortcut(x)) with two convolutions in F, three in the last where they are odd."""
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    count = len(stage.kernels)
    starts = list(range(0, max(1, count - 1), 2))
    for block, (start, end) in enumerate(zip(starts, [*starts[1:], count], strict=True), start=1):
        branch: OrderedDict[str, nn.Module] = OrderedDict()
        width = in_width
        for place in range(start, end):
            name = f"{number}_{place + 1}"
            branch.update(_layer(spec, name, width, stage.width, stage.kernels[place]))
            width = stage.width
        branch.popitem()  # the last activation comes after the addition
        shortcut = _shortcut(spec, in_width, stage.width)
        blocks[f"block{block}"] = ResidualBlock(nn.Sequential(branch), shortcut)
        in_width = stage.width
    return blocks


def _shortcut(spec: VggSpec, in_width: int, width: int) -> nn.Module:
    """Choose the shortcut; a projection is normalised only where the convolutions are."""
    assert spec.shortcut != "none"
    if spec.shortcut == "B" and in_width != width and not spec.batch_norm:
        return nn.Conv2d(in_width, width, 1, bias=False)
    return make_shortcut(in_width, width, 1, spec.shortcut)


def _calm(network: Network) -> None:
    """Begin N residual branches at 1 / N of the variance, and projections that keep it.

    Nothing normalises the sums here: with branches of full size, each block would double the
    variance of the maps.
    """
    blocks = [module for module in network.modules() if isinstance(module, ResidualBlock)]
    for block in blocks:
        last = list(block.branch.children())[-1]
        assert isinstance(last, nn.Conv2d)
        with torch.no_grad():
            last.weight.mul_(len(blocks) ** -0.5)
            if isinstance(block.shortcut, nn.Conv2d):
                block.shortcut.weight.mul_(0.5**0.5)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(2, stride=2)
