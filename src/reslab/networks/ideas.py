"""Small networks that put one idea of the line into a plain network."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import PlainBlock, ResidualBlock, set_gate_bias
from reslab.networks.highway import HighwayLayer, plain_layer
from reslab.networks.network import GlobalAveragePool, Head, Network, Stage, builds, initialize
from reslab.networks.spec import Entry, NetworkSpec, Section, spec_kind


@spec_kind("highway_cnn")
@dataclasses.dataclass(frozen=True, kw_only=True)
class HighwayCNNSpec(NetworkSpec):
    """A plain network of equal 3x3 convolutions, with a highway layer behind each or without.

    Each convolution has a bias and a ReLU and no batch norm; a 2x2 max pool opens each stage
    but the first; the last map is averaged over all positions.

    Args:
        width: channels of every layer; a highway layer needs as many in as out.
        depths: number of convolutions of each stage; the first one is the stem.
        highway: whether a highway layer follows each convolution.
        gate_bias: where the biases of the highway layers' gates start.
    """

    width: int = 64
    depths: tuple[int, ...] = (3, 3, 4)
    highway: bool
    gate_bias: float = -2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.depths) < 1 or self.depths[0] < 2 or min(self.depths) < 1:
            raise UsageError(
                "depths must be 2 or more for the first stage and 1 or more for the others, "
                f"received {self.depths}"
            )

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: there are none."""
        return False


@spec_kind("two_layer_blocks")
@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoLayerBlocksSpec(NetworkSpec):
    """Blocks of two layers, a[l+2] = g(z[l+2] + a[l]), with their shortcuts or without.

    z[l+1] = W[l+1] a[l] + b[l+1] and g is the ReLU; there is no batch norm. The linear map W
    is a 3x3 convolution. A convolution with ReLU makes the first a from the image; a 2x2 max pool
    opens each stage but the first; the last map is averaged over all positions.

    Args:
        width: channels of every layer: the shortcut adds the input as it is.
        depths: number of blocks of each stage.
        shortcut: False for the plain counterpart, a[l+2] = g(z[l+2]).
    """

    width: int = 32
    depths: tuple[int, ...] = (2, 2, 1)
    shortcut: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.depths or min(self.depths) < 1:
            raise UsageError(f"each stage needs a block or more, received depths {self.depths}")

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: there are none."""
        return False


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
    set_gate_bias(network, spec.gate_bias)
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
    initialize(network)
    return network


HIGHWAY_SOURCE = "reslab; the highway layer of Srivastava et al. 2015 (arXiv 1507.06228), section 2"
BLOCK_SOURCE = "reslab; the two-layer block a[l+2] = g(z[l+2] + a[l]) of the residual idea"
NOT_A_PAPERS = "not from a paper: widths, depths and pools are our own"
WITHOUT_NORM = "no batch norm, biases instead, where He et al. 2015 normalise every convolution"
CONVOLUTIONAL = "z = W a + b is a 3x3 convolution, so that any image size works"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        family="plain",
        spec=HighwayCNNSpec(name="plain_cnn10", num_classes=10, img_size=32, highway=False),
        source=HIGHWAY_SOURCE,
        summary="10 convolutions",
        deviations=(NOT_A_PAPERS, "the counterpart of highway_cnn without its highway layers"),
    ),
    Entry(
        family="highway",
        spec=HighwayCNNSpec(name="highway_cnn", num_classes=10, img_size=32, highway=True),
        source=HIGHWAY_SOURCE,
        summary="10 conv + highway",
        deviations=(
            NOT_A_PAPERS,
            "a highway layer behind each convolution of plain_cnn10, which doubles its depth",
        ),
    ),
    Entry(
        family="plain",
        spec=TwoLayerBlocksSpec(
            name="five_block_plain", num_classes=10, img_size=32, shortcut=False
        ),
        source=BLOCK_SOURCE,
        summary="5 blocks, no BN",
        deviations=(
            NOT_A_PAPERS,
            WITHOUT_NORM,
            CONVOLUTIONAL,
            "the counterpart of five_block_residual without its shortcuts",
        ),
    ),
    Entry(
        family="resnet",
        spec=TwoLayerBlocksSpec(
            name="five_block_residual", num_classes=10, img_size=32, shortcut=True
        ),
        source=BLOCK_SOURCE,
        summary="5 shortcuts, no BN",
        deviations=(NOT_A_PAPERS, WITHOUT_NORM, CONVOLUTIONAL),
    ),
)

SECTIONS = (Section("Small networks that put one idea of the line into a plain network", ENTRIES),)
