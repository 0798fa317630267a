"""ZFNet (Zeiler and Fergus 2013, arXiv 1311.2901), as modules."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from reslab.nn.build import builds
from reslab.nn.builders.alexnet import least_of, make_convolution
from reslab.nn.fully_connected import make_fully_connected_head
from reslab.nn.gaussian import initialise_gaussian
from reslab.nn.init import initialise
from reslab.nn.lrn import LocalResponseNorm
from reslab.nn.network import Network
from reslab.nn.sizes import least_input
from reslab.nn.stage import Stage
from reslab.spec.zfnet import ZFNetSpec

STD = 0.01


@builds(ZFNetSpec)
def build_zfnet(spec: ZFNetSpec) -> Network:
    """Assemble conv1; pool, norm, conv2; pool, norm, conv3 to conv5; pool, fully connected."""
    widths = [spec.in_chans, *(c.width for c in spec.convolutions)]
    layers = [
        {
            f"conv{number}": make_convolution(widths[number - 1], convolution),
            f"act{number}": nn.ReLU(),
        }
        for number, convolution in enumerate(spec.convolutions, start=1)
    ]
    first, second = spec.convolutions[0].stride, spec.convolutions[1].stride
    stage1 = {"pool": _pool(), "norm": LocalResponseNorm(), **layers[1]}
    stage2 = {"pool": _pool(), "norm": LocalResponseNorm(), **layers[2], **layers[3], **layers[4]}
    head = make_fully_connected_head(spec, widths[5], _pool())
    network = Network(
        spec,
        stem=nn.Sequential(OrderedDict(layers[0])),
        stages={"stage1": Stage(OrderedDict(stage1)), "stage2": Stage(OrderedDict(stage2))},
        head=head,
        features=[
            (widths[1], first),
            (widths[2], first * 2 * second),
            (widths[5], first * 4 * second),
        ],
        min_size=_min_size(spec),
    )
    if spec.is_small:
        initialise(network)
        head.begin()
    else:
        initialise_gaussian(network, std=STD)
    return network


def _pool() -> nn.MaxPool2d:
    """Overlapping max pooling that leaves nothing out: 110, 26 and 13 become 55, 13 and 6."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def _min_size(spec: ZFNetSpec) -> int:
    """Follow the least map of the head back to the image."""
    first, second, *rest = spec.convolutions
    side = _before_pool(spec.fc_grid if spec.fully_convolutional else 1)
    for convolution in reversed(rest):
        side = least_of(side, convolution)
    side = least_of(_before_pool(side), second)
    return least_of(_before_pool(side), first)


def _before_pool(output: int) -> int:
    return least_input(output, kernel=3, stride=2, ceil=True)
