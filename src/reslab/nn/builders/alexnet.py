"""AlexNet (Krizhevsky, Sutskever and Hinton 2012), as modules."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from reslab.nn.build import builds
from reslab.nn.fully_connected import make_fully_connected_head
from reslab.nn.gaussian import initialise_gaussian
from reslab.nn.init import initialise
from reslab.nn.lrn import LocalResponseNorm
from reslab.nn.network import Network
from reslab.nn.sizes import least_input
from reslab.nn.stage import Stage
from reslab.spec.alexnet import AlexNetSpec, ConvolutionSpec

STD = 0.01
ONES = ("conv2", "conv4", "conv5", "fc6", "fc7")


@builds(AlexNetSpec)
def build_alexnet(spec: AlexNetSpec) -> Network:
    """Assemble conv1; pool, conv2; pool, conv3 to conv5; pool, fully-connected layers."""
    widths = [spec.in_chans, *(c.width for c in spec.convolutions)]
    layers = [
        _convolution(spec, number, widths[number - 1], convolution)
        for number, convolution in enumerate(spec.convolutions, start=1)
    ]
    first, second = spec.convolutions[0].stride, spec.convolutions[1].stride
    head = make_fully_connected_head(spec, widths[5], _pool())
    network = Network(
        spec,
        stem=nn.Sequential(layers[0]),
        stages={
            "stage1": Stage(OrderedDict(pool=_pool(), **layers[1])),
            "stage2": Stage(OrderedDict(pool=_pool(), **layers[2], **layers[3], **layers[4])),
        },
        head=head,
        features=[
            (widths[1], first),
            (widths[2], first * 2 * second),
            (widths[5], first * 4 * second),
        ],
        min_size=_min_size(spec),
    )
    if spec.initialisation == "he" or spec.is_small:
        initialise(network)
        head.begin()
    else:
        _initialise_as_in_2012(network)
    return network


def _convolution(
    spec: AlexNetSpec, number: int, in_width: int, convolution: ConvolutionSpec
) -> OrderedDict[str, nn.Module]:
    """relu(W x + b), normalised across channels in the first two layers."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers[f"conv{number}"] = make_convolution(in_width, convolution)
    layers[f"act{number}"] = nn.ReLU()
    if spec.lrn and number <= 2:
        layers[f"norm{number}"] = LocalResponseNorm()
    return layers


def make_convolution(in_width: int, convolution: ConvolutionSpec) -> nn.Conv2d:
    """Make a convolution with bias."""
    return nn.Conv2d(
        in_width,
        convolution.width,
        convolution.kernel,
        stride=convolution.stride,
        padding=convolution.padding,
        groups=convolution.groups,
    )


def _pool() -> nn.MaxPool2d:
    """Overlapping max pooling.

    Source: Krizhevsky et al. 2012, section 3.4.
    """
    return nn.MaxPool2d(3, stride=2)


def _min_size(spec: AlexNetSpec) -> int:
    """Follow the least map of the head back to the image."""
    first, second, *rest = spec.convolutions
    side = least_input(spec.fc_grid if spec.fully_convolutional else 1, kernel=3, stride=2)
    for convolution in reversed(rest):
        side = least_of(side, convolution)
    side = least_of(least_input(side, kernel=3, stride=2), second)
    return least_of(least_input(side, kernel=3, stride=2), first)


def least_of(output: int, convolution: ConvolutionSpec) -> int:
    """Return the least side of a map for a convolution to put out one of side `output`."""
    return least_input(
        output,
        kernel=convolution.kernel,
        stride=convolution.stride,
        padding=convolution.padding,
    )


def _initialise_as_in_2012(network: Network) -> None:
    """W ~ N(0, 0.01^2); b = 1 in the layers of `ONES`, where ReLUs then begin with a slope.

    Source: Krizhevsky et al. 2012, section 5.
    """
    initialise_gaussian(network, std=STD)
    for name, module in network.named_modules():
        if name.rpartition(".")[2] in ONES and isinstance(module, nn.Conv2d | nn.Linear):
            assert module.bias is not None
            nn.init.ones_(module.bias)
