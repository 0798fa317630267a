"""VGG A to E (Simonyan and Zisserman 2014, arXiv 1409.1556), and VGG with shortcuts."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Literal, Self

import torch
from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import ResidualBlock, make_shortcut
from reslab.networks.fully_connected import FullyConnectedSpec, make_fully_connected_head
from reslab.networks.lrn import LocalResponseNorm
from reslab.networks.network import Network, Stage, builds, initialize
from reslab.networks.spec import Entry, Published, Section, Stem, check_stem, spec_kind

VggShortcut = Literal["none", "A", "B"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VggStageSpec:
    """The convolutions between two pools.

    Args:
        width: output channels of each.
        kernels: side of each, odd; they keep the size of the map.
    """

    width: int
    kernels: tuple[int, ...]


@spec_kind("vgg")
@dataclasses.dataclass(frozen=True, kw_only=True)
class VggSpec(FullyConnectedSpec):
    """Stages of small convolutions with a 2x2 max pool of stride 2 after each.

    Args:
        stages: the convolutions.
        batch_norm: normalise after each convolution, which the paper does not.
        lrn: normalise the responses of the first convolution, as AlexNet does (A-LRN).
        shortcut: "none" for VGG. "A" and "B" add one around each pair of convolutions of a
            stage after the first stage, an odd one at the end included, with zero padding or
            a projection where the width changes (He et al. 2015, section 3.3).

    Source: Simonyan and Zisserman 2014, table 1.
    """

    fc_grid: int = 7
    stages: tuple[VggStageSpec, ...]
    batch_norm: bool = False
    lrn: bool = False
    shortcut: VggShortcut = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stages or not all(stage.kernels for stage in self.stages):
            raise UsageError(f"network '{self.name}' has no stages, or one without convolutions")
        if any(kernel % 2 == 0 for stage in self.stages for kernel in stage.kernels):
            raise UsageError(f"network '{self.name}' has a convolution of even side")

    def with_stem(self, stem: Stem) -> Self:
        """Choose between the fully-connected layers for ImageNet and for images of 32 pixels.

        The convolutions stay. Five pools leave one position of 32 pixels: "small" gives the
        fully-connected layers a grid of 1x1 instead of 7x7, and hidden layers of 512 instead
        of 4096.
        """
        check_stem(stem)
        small = stem == "small"
        return dataclasses.replace(
            self,
            fc_grid=1 if small else 7,
            fc_widths=(512, 512) if small else (4096, 4096),
        )

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: in the `_bn` forms."""
        return self.batch_norm


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
    initialize(network)
    head.initialize_classifier()
    if spec.shortcut != "none" and not spec.batch_norm:
        _shrink_branches(network)
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


def _shrink_branches(network: Network) -> None:
    """Begin N residual branches at 1 / N of the variance, and projections that keep it.

    Nothing normalises the sums here: with branches of full size, each block would double the
    variance of the maps.
    """
    blocks = [module for module in network.modules() if isinstance(module, ResidualBlock)]
    for block in blocks:
        last = list(block.branch.children())[-1]
        assert isinstance(last, nn.Conv2d)
        with torch.no_grad():
            last.weight.mul_(len(blocks) ** -0.5)  # N branches of 1 / N of the variance
            if isinstance(block.shortcut, nn.Conv2d):
                # N(0, 2 / fan_in) makes up for a ReLU behind it, and a projection has none.
                block.shortcut.weight.mul_(0.5**0.5)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(2, stride=2)


SOURCE = (
    "Simonyan and Zisserman 2014, Very Deep Convolutional Networks for Large-Scale Image "
    "Recognition (arXiv 1409.1556), table 1"
)
WIDTHS = (64, 128, 256, 512, 512)
# Kernels of each stage.
CONFIGURATIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3),) * 5,
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
PROTOCOL = "ILSVRC 2012 validation, single model, dense, short side 256 in training and test"
START = (
    "weights begin as N(0, 2 / fan_in), the classifier's as N(0, 0.01^2); the paper starts A from "
    "N(0, 0.1^2) and the deeper networks from a trained A, and later found Glorot's to do"
)
GRID = (
    "images of other sizes are averaged to the 7x7 map that the fully-connected layers are meant "
    "for, instead of being cut to 224; eval's multi-scale views turn these layers into "
    "convolutions as the paper does"
)
NORM = "batch normalisation after each convolution, as in torchvision; the paper has none"
OPTIONS = {
    "A": "zero padding where the width changes (option A), so no further parameters",
    "B": "1x1 convolutions where the width changes (option B)",
}


def _spec(name: str, plan: str) -> VggSpec:
    stages = zip(WIDTHS, CONFIGURATIONS[plan], strict=True)
    return VggSpec(
        name=name,
        stages=tuple(VggStageSpec(width=width, kernels=kernels) for width, kernels in stages),
        dropout=0.5,
    )


def _entry(
    name: str, plan: str, summary: str, *, params: float, errors: tuple[float, float]
) -> Entry:
    paper: Published = {
        "error_pct": errors[0],
        "top5_error_pct": errors[1],
        "params": params,
        "protocol": PROTOCOL,
    }
    return Entry(
        family="vgg",
        spec=_spec(name, plan),
        source=SOURCE,
        summary=summary,
        paper=paper,
        deviations=(START, GRID),
    )


def _with_batch_norm(entry: Entry) -> Entry:
    assert isinstance(entry.spec, VggSpec)
    return dataclasses.replace(
        entry,
        spec=dataclasses.replace(entry.spec, name=f"{entry.name}_bn", batch_norm=True),
        summary=f"{entry.summary}, BN",
        paper={},
        deviations=(NORM, *entry.deviations),
    )


def _residual(name: str, plan: str, shortcut: VggShortcut) -> Entry:
    return Entry(
        family="vgg",
        spec=dataclasses.replace(_spec(name, plan), shortcut=shortcut),
        source=(
            f"reslab; {plan} of Simonyan and Zisserman 2014 (arXiv 1409.1556), with the "
            "shortcuts of He et al. 2015 (arXiv 1512.03385), section 3.3"
        ),
        summary=f"{plan}, shortcuts ({shortcut})",
        deviations=(
            "a shortcut around each pair of convolutions of a stage, or around all three, from "
            "the second stage on; the network is in neither paper",
            OPTIONS[shortcut],
            "no batch normalisation; the last convolution of each of the N branches begins at "
            "1 / N of the variance that is usual, so that the sums do not grow",
            GRID,
        ),
    )


A = _entry("vgg11", "A", "A: 11 layers", params=133e6, errors=(29.6, 10.4))
A_LRN = dataclasses.replace(
    _entry("vgg11_lrn", "A", "A with LRN", params=133e6, errors=(29.7, 10.5)),
    spec=dataclasses.replace(_spec("vgg11_lrn", "A"), lrn=True),
)
B = _entry("vgg13", "B", "B: 13 layers", params=133e6, errors=(28.7, 9.9))
C = _entry("vgg16_c", "C", "C: 1x1 layers", params=134e6, errors=(28.1, 9.4))
D = _entry("vgg16", "D", "D: 16 layers", params=138e6, errors=(27.0, 8.8))
E = _entry("vgg19", "E", "E: 19 layers", params=144e6, errors=(27.3, 9.0))

ENTRIES: tuple[Entry, ...] = (
    A,
    A_LRN,
    B,
    C,
    D,
    E,
    *(_with_batch_norm(entry) for entry in (A, B, C, D, E)),
    _residual("vgg16_residual", "D", "A"),
    _residual("vgg16_residual_b", "D", "B"),
    _residual("vgg19_residual", "E", "A"),
    _residual("vgg19_residual_b", "E", "B"),
)

SECTIONS = (
    Section(
        "VGG A to E (Simonyan and Zisserman 2014, arXiv 1409.1556), and VGG with shortcuts",
        ENTRIES,
    ),
)
