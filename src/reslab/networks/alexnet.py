"""AlexNet (Krizhevsky, Sutskever and Hinton 2012)."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Literal, Self

from torch import nn

from reslab.errors import UsageError
from reslab.networks.fully_connected import FullyConnectedSpec, make_fully_connected_head
from reslab.networks.init import initialize_gaussian
from reslab.networks.lrn import LocalResponseNorm
from reslab.networks.network import Network, Stage, builds, initialize, min_input_size
from reslab.networks.spec import Entry, Section, Stem, check_stem, spec_kind

Initialization = Literal["gaussian", "he"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvolutionSpec:
    """One convolution.

    Args:
        width: output channels.
        kernel: its side.
        stride: subsampling.
        padding: zeros on each side.
        groups: parts of the channels that do not see each other.
    """

    width: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1


@spec_kind("alexnet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class AlexNetSpec(FullyConnectedSpec):
    """Five convolutions with 3x3 max pools of stride 2 after the first, second and fifth.

    Args:
        convolutions: the five.
        lrn: normalise the responses of the first two, before their pools.
        initialisation: "gaussian" for the paper's: weights N(0, 0.01^2), biases one in the
            second, fourth and fifth convolution and the hidden fully-connected layers. "he"
            for N(0, 2 / fan_in); the form for small images always begins so, because what the
            paper chose for its fan-ins is too little for the short ones.

    Source: Krizhevsky et al. 2012, sections 3 and 5.
    """

    fc_grid: int = 6
    convolutions: tuple[ConvolutionSpec, ...]
    lrn: bool = True
    initialisation: Initialization = "gaussian"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.convolutions) != 5:
            raise UsageError(
                f"{self.name} needs five convolutions, received {len(self.convolutions)}"
            )

    @property
    def is_small(self) -> bool:
        """Whether this is the form for small images."""
        return self.convolutions[0].stride == 1

    def with_stem(self, stem: Stem) -> Self:
        """Choose between the first layer of ImageNet and one for images of about 32 pixels.

        "small" is a 5x5 convolution of stride 1 instead of 11x11 of stride 4, and hidden
        fully-connected layers of 1024 instead of 4096: 32 pixels leave a 3x3 map, a quarter
        of the paper's 6x6.
        """
        check_stem(stem)
        small = stem == "small"
        first = dataclasses.replace(
            self.convolutions[0],
            kernel=5 if small else 11,
            stride=1 if small else 4,
            padding=2,
        )
        return dataclasses.replace(
            self,
            convolutions=(first, *self.convolutions[1:]),
            fc_grid=3 if small else 6,
            fc_widths=(1024, 1024) if small else (4096, 4096),
        )


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
        initialize(network)
        head.initialize_classifier()
    else:
        _initialize_as_in_2012(network)
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
    # Averaging to the grid needs one position, sliding over the map the whole grid.
    side = min_input_size(spec.fc_grid if spec.fully_convolutional else 1, kernel=3, stride=2)
    for convolution in reversed(rest):
        side = min_conv_input(side, convolution)
    side = min_conv_input(min_input_size(side, kernel=3, stride=2), second)
    return min_conv_input(min_input_size(side, kernel=3, stride=2), first)


def min_conv_input(output: int, convolution: ConvolutionSpec) -> int:
    """Return the least side of a map for a convolution to put out one of side `output`."""
    return min_input_size(
        output,
        kernel=convolution.kernel,
        stride=convolution.stride,
        padding=convolution.padding,
    )


def _initialize_as_in_2012(network: Network) -> None:
    """W ~ N(0, 0.01^2); b = 1 in the layers of `ONES`, where ReLUs then begin with a slope.

    Source: Krizhevsky et al. 2012, section 5.
    """
    initialize_gaussian(network, std=STD)
    for name, module in network.named_modules():
        if name.rpartition(".")[2] in ONES and isinstance(module, nn.Conv2d | nn.Linear):
            assert module.bias is not None
            nn.init.ones_(module.bias)


GRID = (
    "images of other sizes are averaged to the 6x6 map that the fully-connected layers are meant "
    "for, instead of being refused"
)
PADDING = (
    "the first convolution pads by 2, so that an image of 224 pixels leaves the 55x55 map that "
    "the paper computes; without padding it takes 227"
)
RANGE = (
    "inputs have about unit variance, the paper's reach from -128 to 128: with the same weights "
    "at the start, what the first layer puts out begins about 60 times smaller"
)

ENTRIES: tuple[Entry, ...] = (
    Entry(
        family="alexnet",
        spec=AlexNetSpec(
            name="alexnet",
            convolutions=(
                ConvolutionSpec(width=96, kernel=11, stride=4, padding=2),
                ConvolutionSpec(width=256, kernel=5, padding=2, groups=2),
                ConvolutionSpec(width=384),
                ConvolutionSpec(width=384, groups=2),
                ConvolutionSpec(width=256, groups=2),
            ),
            dropout=0.5,
        ),
        source=(
            "Krizhevsky, Sutskever and Hinton 2012, ImageNet Classification with Deep "
            "Convolutional Neural Networks, section 3"
        ),
        summary="two groups, LRN",
        paper={
            "error_pct": 40.7,
            "top5_error_pct": 18.2,
            "params": 60e6,
            "protocol": "ILSVRC 2012 validation, single model, 10-crop",
        },
        deviations=(PADDING, RANGE, GRID),
    ),
    Entry(
        family="alexnet",
        spec=AlexNetSpec(
            name="alexnet_owt",
            convolutions=(
                ConvolutionSpec(width=64, kernel=11, stride=4, padding=2),
                ConvolutionSpec(width=192, kernel=5, padding=2),
                ConvolutionSpec(width=384),
                ConvolutionSpec(width=256),
                ConvolutionSpec(width=256),
            ),
            lrn=False,
            initialisation="he",
            dropout=0.5,
        ),
        source=(
            "Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks "
            "(arXiv 1404.5997), footnote 1, as in torchvision"
        ),
        summary="one tower, no LRN",
        deviations=(
            "256 channels in the fourth convolution and no local response normalisation, as in "
            "torchvision; the paper's footnote says 384, the author's release 256",
            "dropout on what the hidden fully-connected layers put out, as in 2012; torchvision "
            "drops what goes into them",
            "weights begin as N(0, 2 / fan_in), the classifier's as N(0, 0.01^2)",
            GRID,
        ),
    ),
)

SECTIONS = (Section("AlexNet (Krizhevsky, Sutskever and Hinton 2012)", ENTRIES),)
