"""Inception-v4 and Inception-ResNet (Szegedy et al. 2016, arXiv 1602.07261)."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import torch
from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import PlainBlock
from reslab.networks.inception_blocks import (
    Conv,
    Fork,
    LayerSpec,
    MakeConv,
    Pool,
    conv_norm_act,
    fork,
    make_fork,
    make_layers,
    out_width,
)
from reslab.networks.network import GlobalAveragePool, Head, Network, Stage, builds, initialize
from reslab.networks.resnet import StemSpec, make_stem
from reslab.networks.spec import Entry, NetworkSpec, Published, Section, Stem, spec_kind

Variant = Literal["v4", "resnet_v1", "resnet_v2", "resnet_v2_slim"]


@spec_kind("inception")
@dataclasses.dataclass(frozen=True, kw_only=True)
class InceptionSpec(NetworkSpec):
    """One of the Inception networks of 2016: modules A, B and C on ever smaller maps.

    Args:
        variant: whose modules: "v4", "resnet_v1", "resnet_v2" as in the paper, or
            "resnet_v2_slim" as in TF-slim.
        depths: number of modules A, B and C.
        scales: how much the residual branch counts in modules A, B and C; None for "v4",
            which has no shortcuts.
        stem: "imagenet" as published, for 299 pixels. "small" takes images of 32 pixels to
            modules at 16, 8 and 4: the first two subsamplings are left out, and every
            convolution and pool is padded, so that maps shrink by their strides only.
    """

    variant: Variant
    depths: tuple[int, ...]
    scales: tuple[float, ...] | None = None
    stem: Stem = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_depths(self.name, self.depths)
        if (self.scales is None) != (self.variant == "v4"):
            raise UsageError(
                f"{self.name}: variant '{self.variant}' with scales {self.scales}",
                remedy="give three residual scales, and none (null) for v4",
            )
        for scale in self.scales or ():
            _check_scale(self.name, scale)
        if self.scales is not None and len(self.scales) != 3:
            raise UsageError(f"{self.name} takes 3 residual scales, received {self.scales}")

    def with_stem(self, stem: Stem) -> Self:
        """Give the network its form for images of about 32 pixels, or the published one."""
        return dataclasses.replace(self, stem=stem)


@spec_kind("inception_small")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallInceptionSpec(NetworkSpec):
    """An Inception network for 32x32 images, residual or plain: reslab's own.

    A 3x3 convolution, then modules A, B and C on maps of 32, 16 and 8 pixels, with a reduction
    module before B and before C, then the global average.

    Args:
        depths: number of modules A, B and C.
        scale: how much the residual branch counts; None for the plain network, whose modules
            are the same but for the shortcut.
        stem: "small" for the 3x3 convolution of stride 1, "imagenet" for 7x7 of stride 2
            and a max pool.
    """

    depths: tuple[int, ...]
    scale: float | None
    stem: Stem = "small"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_depths(self.name, self.depths)
        if self.scale is not None:
            _check_scale(self.name, self.scale)

    def with_stem(self, stem: Stem) -> Self:
        """Give the network one 3x3 convolution of stride 1, or 7x7 of stride 2 and a pool."""
        return dataclasses.replace(self, stem=stem)


def _check_depths(name: str, depths: tuple[int, ...]) -> None:
    if len(depths) != 3 or min(depths) < 1:
        raise UsageError(
            f"{name} takes the number of modules A, B and C, each 1 or more, received {depths}"
        )


def _check_scale(name: str, scale: float) -> None:
    if not 0.0 < scale <= 1.0:
        raise UsageError(f"a residual scale of {name} must be in (0, 1], received {scale}")


# INCEPTION BLOCKS


class ScaledResidualBlock(nn.Module):
    """y = relu(shortcut(x) + s F(x)).

    Args:
        branch: F, which ends without an activation; as many channels out as in.
        scale: s, between 0.1 and 0.3 in the paper.

    Source: Szegedy et al. 2016 (arXiv 1602.07261), section 3.3 and figure 20.
    """

    def __init__(self, branch: nn.Module, scale: float) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = nn.Identity()
        self.scale = scale
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu(shortcut(x) + s F(x))."""
        return self.act(self.shortcut(x) + self.scale * self.branch(x))  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Say how much the branch counts."""
        return f"scale={self.scale}"


class LinearResidualBlock(nn.Module):
    """y = shortcut(x) + F(x): nothing is scaled, and no activation follows.

    Args:
        branch: F, which ends without an activation; as many channels out as in.

    Source: the last block of Inception-ResNet-v2 in TF-slim.
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute shortcut(x) + F(x)."""
        return self.shortcut(x) + self.branch(x)  # type: ignore[no-any-return]


def expanded(in_width: int, branches: Fork, make_conv: MakeConv) -> nn.Sequential:
    """F(x) = W [F_1(x), ..., F_n(x)] + b, with as many channels out as in.

    W is the linear 1x1 convolution ("filter expansion") that makes the branches fit what
    they are added to: neither a norm nor an activation follows it.

    Source: Szegedy et al. 2016 (arXiv 1602.07261), section 3.2.
    """
    width = out_width(in_width, [branches])
    return nn.Sequential(
        OrderedDict(
            inception=make_fork(in_width, branches, make_conv),
            expand=nn.Conv2d(width, in_width, 1),
        )
    )


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The layers of one network.

    Args:
        stem: the first convolutions.
        entry: what follows up to the second subsampling's map.
        reductions: what opens the modules A, B and C: each halves the map.
        modules: A, B and C; without the expansion and the shortcut of the residual ones.
        last: a convolution after the last module.
        last_is_linear: the last module is neither scaled nor followed by an activation.
    """

    stem: tuple[LayerSpec, ...]
    entry: tuple[LayerSpec, ...]
    reductions: tuple[tuple[LayerSpec, ...], ...]
    modules: tuple[Fork, ...]
    last: Conv | None = None
    last_is_linear: bool = False


STEM = (Conv(32, 3, stride=2, valid=True), Conv(32, 3, valid=True), Conv(64, 3))
MAX = Pool("max", stride=2, valid=True)
AVERAGE = Pool("average")

# Figure 3, the stem of Inception-v4 and Inception-ResNet-v2.
FORKED_ENTRY = (
    fork([MAX], [Conv(96, 3, stride=2, valid=True)]),
    fork(
        [Conv(64), Conv(96, 3, valid=True)],
        [Conv(64), Conv(64, (1, 7)), Conv(64, (7, 1)), Conv(96, 3, valid=True)],
    ),
)
FORKED_REDUCTION = (fork([Conv(192, 3, stride=2, valid=True)], [MAX]),)

# Figure 14, the stem of Inception-ResNet-v1, which TF-slim gives to Inception-ResNet-v2 too.
CHAINED_ENTRY = (MAX, Conv(80), Conv(192, 3, valid=True))


def reduction_a(k: int, l: int, m: int, n: int) -> tuple[LayerSpec, ...]:  # noqa: E741 (the paper's)
    """Figure 7, with the widths of table 1."""
    return (
        fork(
            [Conv(n, 3, stride=2, valid=True)],
            [Conv(k), Conv(l, 3), Conv(m, 3, stride=2, valid=True)],
            [MAX],
        ),
    )


def reduction_b(first: int, second: int, third: tuple[int, int]) -> tuple[LayerSpec, ...]:
    """Figures 13 and 18: the reduction before modules C of the residual networks."""
    return (
        fork(
            [Conv(256), Conv(first, 3, stride=2, valid=True)],
            [Conv(256), Conv(second, 3, stride=2, valid=True)],
            [Conv(256), Conv(third[0], 3), Conv(third[1], 3, stride=2, valid=True)],
            [MAX],
        ),
    )


V4 = Architecture(
    stem=STEM,
    entry=FORKED_ENTRY,
    reductions=(
        FORKED_REDUCTION,
        reduction_a(192, 224, 256, 384),
        (
            fork(
                [Conv(192), Conv(192, 3, stride=2, valid=True)],
                [
                    Conv(256),
                    Conv(256, (1, 7)),
                    Conv(320, (7, 1)),
                    Conv(320, 3, stride=2, valid=True),
                ],
                [MAX],
            ),
        ),
    ),
    modules=(
        fork(
            [Conv(96)],
            [Conv(64), Conv(96, 3)],
            [Conv(64), Conv(96, 3), Conv(96, 3)],
            [AVERAGE, Conv(96)],
        ),
        fork(
            [Conv(384)],
            [Conv(192), Conv(224, (1, 7)), Conv(256, (7, 1))],
            [
                Conv(192),
                Conv(192, (7, 1)),
                Conv(224, (1, 7)),
                Conv(224, (7, 1)),
                Conv(256, (1, 7)),
            ],
            [AVERAGE, Conv(128)],
        ),
        fork(
            [Conv(256)],
            [Conv(384), fork([Conv(256, (1, 3))], [Conv(256, (3, 1))])],
            [
                Conv(384),
                Conv(448, (3, 1)),
                Conv(512, (1, 3)),
                fork([Conv(256, (1, 3))], [Conv(256, (3, 1))]),
            ],
            [AVERAGE, Conv(256)],
        ),
    ),
)

RESNET_V1 = Architecture(
    stem=STEM,
    entry=CHAINED_ENTRY,
    reductions=(
        (Conv(256, 3, stride=2, valid=True),),
        reduction_a(192, 192, 256, 384),
        reduction_b(384, 256, (256, 256)),
    ),
    modules=(
        fork([Conv(32)], [Conv(32), Conv(32, 3)], [Conv(32), Conv(32, 3), Conv(32, 3)]),
        fork([Conv(128)], [Conv(128), Conv(128, (1, 7)), Conv(128, (7, 1))]),
        fork([Conv(192)], [Conv(192), Conv(192, (1, 3)), Conv(192, (3, 1))]),
    ),
)

RESNET_V2_MODULES = (
    fork([Conv(32)], [Conv(32), Conv(32, 3)], [Conv(32), Conv(48, 3), Conv(64, 3)]),
    fork([Conv(192)], [Conv(128), Conv(160, (1, 7)), Conv(192, (7, 1))]),
    fork([Conv(192)], [Conv(192), Conv(224, (1, 3)), Conv(256, (3, 1))]),
)
RESNET_V2_REDUCTIONS = (reduction_a(256, 256, 384, 384), reduction_b(384, 288, (288, 320)))

RESNET_V2 = Architecture(
    stem=STEM,
    entry=FORKED_ENTRY,
    reductions=(FORKED_REDUCTION, *RESNET_V2_REDUCTIONS),
    modules=RESNET_V2_MODULES,
)

RESNET_V2_SLIM = Architecture(
    stem=STEM,
    entry=CHAINED_ENTRY,
    reductions=(
        (
            MAX,
            fork(
                [Conv(96)],
                [Conv(48), Conv(64, 5)],
                [Conv(64), Conv(96, 3), Conv(96, 3)],
                [AVERAGE, Conv(64)],
            ),
        ),
        *RESNET_V2_REDUCTIONS,
    ),
    modules=RESNET_V2_MODULES,
    last=Conv(1536),
    last_is_linear=True,
)

ARCHITECTURES: dict[str, Architecture] = {
    "v4": V4,
    "resnet_v1": RESNET_V1,
    "resnet_v2": RESNET_V2,
    "resnet_v2_slim": RESNET_V2_SLIM,
}

# reslab's own network for 32x32 images: the paper's three kinds of modules, the factorised ones
# where maps are small, at widths that cost what a residual network of 50 layers does.
SMALL_WIDTH = 64
SMALL_REDUCTIONS: tuple[tuple[LayerSpec, ...], ...] = (
    (
        fork(
            [Conv(32, 3, stride=2)],
            [Conv(24), Conv(24, 3), Conv(32, 3, stride=2)],
            [Pool("max", stride=2)],
        ),
    ),
    (
        fork(
            [Conv(32), Conv(64, 3, stride=2)],
            [Conv(32), Conv(32, 3), Conv(64, 3, stride=2)],
            [Pool("max", stride=2)],
        ),
    ),
)
SMALL_MODULES = (
    fork([Conv(16)], [Conv(16), Conv(16, 3)], [Conv(16), Conv(16, 3), Conv(24, 3)]),
    fork([Conv(48)], [Conv(32), Conv(40, (1, 7)), Conv(48, (7, 1))]),
    fork([Conv(64)], [Conv(64), Conv(72, (1, 3)), Conv(80, (3, 1))]),
)


def padded(layers: Sequence[LayerSpec]) -> tuple[LayerSpec, ...]:
    """Return the same layers without any valid one: maps shrink by the strides only."""
    return tuple(_changed(layer, {"valid": False}) for layer in layers)


def without_strides(layers: Sequence[LayerSpec]) -> tuple[LayerSpec, ...]:
    """Return the layers at the size of their input: pools between them are left out."""
    kept = [layer for layer in layers if not isinstance(layer, Pool)]
    return tuple(_changed(layer, {"valid": False, "stride": 1}) for layer in kept)


def _changed(layer: LayerSpec, values: Mapping[str, Any]) -> LayerSpec:
    if isinstance(layer, Fork):
        return fork(*([_changed(inner, values) for inner in branch] for branch in layer.branches))
    return dataclasses.replace(layer, **values)


# Least side from which every unpadded layer of the published networks has a window.
MIN_IMAGE_SIZE = 75
# The authors' code adds 0.001 to the variance in every batch norm.
published_conv: MakeConv = functools.partial(conv_norm_act, eps=1e-3)


@builds(InceptionSpec)
def build_inception(spec: InceptionSpec) -> Network:
    """Line up stem, modules A, B and C, each kind behind what halves the map, and head.

    Weights start by the rule of `initialize`; the paper names none.
    """
    architecture = ARCHITECTURES[spec.variant]
    stem, entry, openings = architecture.stem, architecture.entry, architecture.reductions
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
        blocks = make_modules(spec, architecture, number, width)
        if number == 2 and architecture.last is not None:
            blocks.append(published_conv(width, architecture.last))
            width = architecture.last.width
        stages[f"stage{number + 2}"] = make_stage(in_width, opening, blocks, published_conv)
        features.append((width, reduction))
    network = Network(
        spec,
        stem=make_layers(spec.in_chans, stem, published_conv),
        stages=stages,
        head=make_head(spec, width),
        features=features,
        min_size=None if small else MIN_IMAGE_SIZE,
    )
    initialize(network)
    return network


def make_modules(
    spec: InceptionSpec, architecture: Architecture, number: int, width: int
) -> list[nn.Module]:
    """Make all modules A (number 0), B (1) or C (2), which read and put out `width` channels."""
    module, depth = architecture.modules[number], spec.depths[number]
    if spec.scales is None:
        return [make_fork(width, module, published_conv) for _ in range(depth)]
    branches = [expanded(width, module, published_conv) for _ in range(depth)]
    blocks: list[nn.Module] = [ScaledResidualBlock(b, spec.scales[number]) for b in branches]
    if number == 2 and architecture.last_is_linear:
        blocks[-1] = LinearResidualBlock(branches[-1])
    return blocks


@builds(SmallInceptionSpec)
def build_small_inception(spec: SmallInceptionSpec) -> Network:
    """Line up a stem and modules A, B and C with a reduction before B and before C.

    Weights start by the rule of `initialize`.
    """
    small = spec.stem == "small"
    stem = StemSpec(
        width=SMALL_WIDTH, kernel=3 if small else 7, stride=1 if small else 2, max_pool=not small
    )
    pool: tuple[LayerSpec, ...] = (Pool("max", stride=2),) if stem.max_pool else ()
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
    initialize(network)
    return network


def make_stage(
    in_width: int, opening: Sequence[LayerSpec], blocks: Sequence[nn.Module], make_conv: MakeConv
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


TITLE = (
    "Szegedy et al. 2016, Inception-v4, Inception-ResNet and the Impact of Residual Connections "
    "on Learning"
)
PROTOCOL = "ILSVRC 2012 validation without the blacklisted images, single model, single crop"
ORDER = (
    "the order of 1x7 and 7x1 and of 1x3 and 3x1 convolutions, and of the branches, is that of "
    "the authors' released code (TF-slim), with which the paper's figures do not always agree"
)
SCALES = (
    "residual scales 0.17, 0.10 and 0.20 for modules A, B and C, as in the authors' released "
    "code; the paper says 0.1 to 0.3 only"
)
TYPOS = (
    "the linear convolutions of modules B and C put out 1152 and 2144 channels, the width of "
    "what they are added to; figures 17 and 19 print 1154 and 2048"
)


def _entry(
    name: str,
    variant: Variant,
    depths: tuple[int, int, int],
    section: str,
    summary: str,
    *,
    paper: Published,
    deviations: tuple[str, ...],
) -> Entry:
    spec = InceptionSpec(
        name=name,
        img_size=299,
        dropout=0.2,
        variant=variant,
        depths=depths,
        scales=None if variant == "v4" else (0.17, 0.10, 0.20),
    )
    return Entry(
        family="inception",
        spec=spec,
        source=f"{TITLE}, {section}",
        summary=summary,
        paper=paper,
        deviations=deviations,
    )


def _paper(top1: float, top5: float) -> Published:
    """Gather what table 2 says."""
    return {"error_pct": top1, "top5_error_pct": top5, "protocol": PROTOCOL}


def _small(name: str, scale: float | None, summary: str, deviations: tuple[str, ...]) -> Entry:
    spec = SmallInceptionSpec(name=name, num_classes=10, img_size=32, depths=(3, 3, 3), scale=scale)
    return Entry(
        family="inception",
        spec=spec,
        source=f"reslab; modules after {TITLE}, sections 3.2 and 3.3",
        summary=summary,
        deviations=deviations,
    )


NOT_IN_PAPER = (
    "not in the paper: modules A, B and C with fewer and narrower convolutions, three of each, "
    "on maps of 32, 16 and 8 pixels"
)

ENTRIES: tuple[Entry, ...] = (
    _entry(
        "inception_v4",
        "v4",
        (4, 7, 3),
        "section 3.1, figure 9",
        "pure Inception",
        paper=_paper(20.0, 5.0),
        deviations=(ORDER,),
    ),
    _entry(
        "inception_resnet_v1",
        "resnet_v1",
        (5, 10, 5),
        "section 3.2, figure 15",
        "cost of v3",
        paper=_paper(21.3, 5.5),
        deviations=(SCALES, ORDER),
    ),
    _entry(
        "inception_resnet_v2",
        "resnet_v2",
        (5, 10, 5),
        "section 3.2, figure 15",
        "cost of v4",
        paper=_paper(19.9, 4.9),
        deviations=(TYPOS, SCALES, ORDER),
    ),
    _entry(
        "inception_resnet_v2_slim",
        "resnet_v2_slim",
        (10, 20, 10),
        "as changed in TF-slim",
        "TF-slim, timm",
        paper={},
        deviations=(
            "the network that TF-slim, Keras and timm call Inception-ResNet-v2, not the paper's: "
            "the stem of v1, an Inception module of 320 channels behind it, 10, 20 and 10 "
            "modules instead of 5, 10 and 5, and a 1x1 convolution to 1536 channels at the end",
            "the last module C is neither scaled nor followed by a ReLU",
        ),
    ),
    _small(
        "inception_resnet_small",
        0.2,
        "residual, 32 px",
        (NOT_IN_PAPER, "a residual scale of 0.2 in every module"),
    ),
    _small(
        "inception_plain_small",
        None,
        "no shortcuts",
        (
            NOT_IN_PAPER,
            "the plain counterpart of inception_resnet_small: relu(F(x)) in place of "
            "relu(x + 0.2 F(x)), and no scale, for there is nothing to weigh F(x) against",
        ),
    ),
)

SECTIONS = (
    Section("Inception-v4 and Inception-ResNet (Szegedy et al. 2016, arXiv 1602.07261)", ENTRIES),
)
