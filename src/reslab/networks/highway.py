"""Highway networks (Srivastava et al. 2015, arXiv 1507.06228)."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict

import torch
from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import Gate, set_gate_bias
from reslab.networks.network import GlobalAveragePool, Head, Network, Stage, builds
from reslab.networks.spec import Entry, NetworkSpec, Section, spec_kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class HighwayStageSpec:
    """A run of highway layers of one width.

    Where the width differs from what comes before, a plain 3x3 convolution with ReLU changes
    it first: a highway layer cannot.

    Args:
        width: channels.
        depth: number of highway layers.
        pool: side of the max pool of stride 2 that opens the stage; 0 for none.
        dropout: probability of dropping a value behind that pool.
    """

    width: int
    depth: int
    pool: int = 0
    dropout: float = 0.0


@spec_kind("highway")
@dataclasses.dataclass(frozen=True, kw_only=True)
class HighwaySpec(NetworkSpec):
    """A convolutional highway network as in the authors' Caffe specifications.

    Args:
        stem_width: channels of the plain convolution that begins the network.
        stem_kernel: its side.
        stem_padding: zeros on each side of its input.
        input_dropout: probability of dropping a value of the input image.
        stages: the runs of highway layers.
        last_width: channels of a plain 1x1 convolution behind the last stage; 0 for none.
        grid: 0 averages the last map over all positions; otherwise a 2x2 max pool leads to a map
            of this side, which the classifier sees whole.
        gate_bias: where the biases of the gates start; negative, so that layers begin by
            carrying their input.
    """

    stem_width: int
    stem_kernel: int = 3
    stem_padding: int = 1
    input_dropout: float = 0.2
    stages: tuple[HighwayStageSpec, ...]
    last_width: int = 0
    grid: int = 0
    gate_bias: float = -2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stages:
            raise UsageError(f"network '{self.name}' has no stages")
        for stage in self.stages:
            if stage.depth < 1:
                raise UsageError(f"a stage needs a highway layer or more, received {stage.depth}")
            if not 0.0 <= stage.dropout < 1.0:
                raise UsageError(f"dropout of a stage must be in [0, 1), received {stage.dropout}")
        if not 0.0 <= self.input_dropout < 1.0:
            raise UsageError(f"input_dropout must be in [0, 1), received {self.input_dropout}")

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: there are none."""
        return False


class HighwayLayer(nn.Module):
    """y = H(x) T(x) + x (1 - T(x)) with H(x) = relu(W_H x + b_H), T(x) = sigmoid(W_T x + b_T).

    No activation follows. Input and output have the same width and size.

    Args:
        width: channels.
        kernel: side of both convolutions, whose input is padded with zeros.

    Source: Srivastava et al. 2015 (arXiv 1507.06228), equation 3 and section 2.
    """

    def __init__(self, width: int, kernel: int = 3) -> None:
        super().__init__()
        self.transform = plain_layer(width, width, kernel, kernel // 2)
        self.gate = Gate(width, width, kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute H(x) T(x) + x (1 - T(x))."""
        t = self.gate(x)
        return self.transform(x) * t + x * (1 - t)  # type: ignore[no-any-return]


def plain_layer(in_width: int, out_width: int, kernel: int, padding: int) -> nn.Sequential:
    """H(x) = relu(W x + b): a convolution with a bias and no batch norm."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_width, out_width, kernel, padding=padding),
            act=nn.ReLU(),
        )
    )


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
    initialize_xavier(network)
    set_gate_bias(network, spec.gate_bias)
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


def initialize_xavier(network: nn.Module) -> None:
    """W ~ U(-a, a) with a = sqrt(3 / fan_in), b = 0, the gates' convolutions included.

    Source: the filler "xavier" of the authors' Caffe specification, which counts inputs only.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:
            bound = math.sqrt(3 / module.weight[0].numel())  # U(-a, a) has variance a^2 / 3
            nn.init.uniform_(module.weight, -bound, bound)
            assert module.bias is not None
            nn.init.zeros_(module.bias)


SOURCE = (
    "Srivastava et al. 2015, Training Very Deep Networks, section 3 and tables 1 and 2; the "
    "authors' Caffe specifications"
)
LAST_LAYERS = (
    "layer for layer the released Caffe specification, a fully-connected layer behind the average "
    "of 100 channels; its shipped log ends at 7.86%"
)
OTHER_SIZES = (
    "where the last map is not 3x3 (images that are not 28x28) it is averaged to 3x3 for the "
    "fully-connected layer; at 28x28 nothing differs"
)


def _mnist(name: str, width: int, summary: str, error: float, mean: float, std: float) -> Entry:
    return Entry(
        family="highway",
        spec=HighwaySpec(
            name=name,
            num_classes=10,
            in_chans=1,
            img_size=28,
            dropout=0.5,
            stem_width=width,
            stem_kernel=5,
            stem_padding=0,
            stages=(
                HighwayStageSpec(width=width, depth=2),
                HighwayStageSpec(width=width, depth=3, pool=3, dropout=0.3),
                HighwayStageSpec(width=width, depth=3, pool=3, dropout=0.4),
            ),
            grid=3,
            gate_bias=-1.0,
        ),
        source=SOURCE,
        summary=summary,
        paper={
            "error_pct": error,
            "error_mean_pct": mean,
            "error_std_pct": std,
            "params": {16: 39e3, 32: 151e3}[width],
            "protocol": "MNIST test, best run",
        },
        deviations=(OTHER_SIZES,),
    )


ENTRIES: tuple[Entry, ...] = (
    _mnist("highway10", 16, "MNIST, width 16", 0.57, 0.60, 0.03),
    _mnist("highway10_w32", 32, "MNIST, width 32", 0.45, 0.46, 0.02),
    Entry(
        family="highway",
        spec=HighwaySpec(
            name="highway19",
            num_classes=10,
            img_size=32,
            dropout=0.2,
            stem_width=32,
            stages=(
                HighwayStageSpec(width=32, depth=4),
                HighwayStageSpec(width=80, depth=5, pool=2, dropout=0.2),
                HighwayStageSpec(width=128, depth=5, pool=2, dropout=0.2),
            ),
            last_width=100,
        ),
        source=SOURCE,
        summary="H T + x (1 - T)",
        paper={
            "error_pct": 7.54,
            "error_mean_pct": 7.72,
            "error_std_pct": 0.16,
            "params": 2.3e6,
            "protocol": "CIFAR-10 test, best run",
        },
        deviations=(LAST_LAYERS,),
    ),
)

SECTIONS = (Section("Highway networks (Srivastava et al. 2015, arXiv 1507.06228)", ENTRIES),)
