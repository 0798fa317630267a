"""GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842)."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import nn

from reslab.networks.inception_blocks import (
    Conv,
    Fork,
    MakeConv,
    Pool,
    conv_act,
    conv_norm_act,
    fork,
    make_fork,
    out_width,
)
from reslab.networks.lrn import LocalResponseNorm
from reslab.networks.network import (
    AuxiliaryHead,
    GlobalAveragePool,
    Head,
    Network,
    Stage,
    builds,
    initialize,
    min_input_size,
)
from reslab.networks.spec import Entry, NetworkSpec, Section, Stem, spec_kind

Module = Literal["reduced", "naive"]
Norm = Literal["response", "batch"]
LargeKernel = Literal[5, 3]
LastPool = Literal[3, 2]
AuxiliaryPool = Literal["5x5", "adaptive"]


@spec_kind("googlenet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class GoogLeNetSpec(NetworkSpec):
    """GoogLeNet: nine Inception modules on maps of 28, 14 and 7 pixels.

    Args:
        auxiliary: two more classifiers for the training loss, which `forward` never runs.
        module: "reduced" with 1x1 convolutions before the large ones and after the pool
            (figure 2b), "naive" without them (figure 2a).
        norm: "response" for local response normalisation around the second convolutions, "batch"
            for a batch norm behind every convolution, which then has no bias.
        large_kernel: side of the largest convolution of a module: 5 in the paper.
        last_pool: side of the max pool before the last two modules: 3 in the paper.
        auxiliary_pool: "5x5" of stride 3 as in the paper wherever that makes its 4x4 grid, and
            windows that fit elsewhere; "adaptive" for windows that fit everywhere.
        stem: "imagenet" as published. "small" takes images of 32 pixels to modules at 16, 8
            and 4: a first convolution of 3x3 and stride 1, and no pool behind it.
    """

    auxiliary: bool = True
    module: Module = "reduced"
    norm: Norm = "response"
    large_kernel: LargeKernel = 5
    last_pool: LastPool = 3
    auxiliary_pool: AuxiliaryPool = "5x5"
    stem: Stem = "imagenet"

    def with_stem(self, stem: Stem) -> Self:
        """Give the network its first layers for images of about 32 pixels, or the published."""
        return dataclasses.replace(self, stem=stem)

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: the paper has none."""
        return self.norm == "batch"


# Table 1: 1x1 | 3x3 reduce, 3x3 | 5x5 reduce, 5x5 | projection of the pool.
MODULES: dict[str, dict[str, tuple[int, ...]]] = {
    "stage2": {
        "inception3a": (64, 96, 128, 16, 32, 32),
        "inception3b": (128, 128, 192, 32, 96, 64),
    },
    "stage3": {
        "inception4a": (192, 96, 208, 16, 48, 64),
        "inception4b": (160, 112, 224, 24, 64, 64),
        "inception4c": (128, 128, 256, 24, 64, 64),
        "inception4d": (112, 144, 288, 32, 64, 64),
        "inception4e": (256, 160, 320, 32, 128, 128),
    },
    "stage4": {
        "inception5a": (256, 160, 320, 32, 128, 128),
        "inception5b": (384, 192, 384, 48, 128, 128),
    },
}
AUXILIARY_AFTER = ("inception4a", "inception4d")
AUXILIARY_WEIGHT = 0.3
AUXILIARY_DROPOUT = 0.7
GRID = 4  # side of the map that the auxiliary classifiers see


@builds(GoogLeNetSpec)
def build_googlenet(spec: GoogLeNetSpec) -> Network:
    """Assemble the layers of table 1.

    Weights start by the rule of `initialize`: the paper names none.
    """
    batch = spec.norm == "batch"
    # torchvision's weights come from TensorFlow, whose batch norms add 0.001 to the variance.
    make_conv: MakeConv = functools.partial(conv_norm_act, eps=1e-3) if batch else conv_act
    small = spec.stem == "small"
    first = Conv(64, 3) if small else Conv(64, 7, stride=2)
    width, reduction = 192, 1 if small else 4
    features = [(64, 1 if small else 2), (width, reduction)]
    stages = {"stage1": make_second_convolutions(spec, make_conv)}
    auxiliary = []
    for stage, modules in MODULES.items():
        side = spec.last_pool if stage == "stage4" else 3
        children: OrderedDict[str, nn.Module] = OrderedDict(pool=make_pool(side))
        for name, widths in modules.items():
            branches = inception(spec, widths)
            children[name] = make_fork(width, branches, make_conv)
            width = out_width(width, [branches])
            if spec.auxiliary and name in AUXILIARY_AFTER:
                auxiliary.append(make_auxiliary(spec, stage, name, width, make_conv))
        stages[stage] = Stage(children)
        reduction *= 2
        features.append((width, reduction))
    network = Network(
        spec,
        stem=make_conv(spec.in_chans, first),
        stages=stages,
        head=Head(
            GlobalAveragePool(),
            num_features=width,
            num_classes=spec.num_classes,
            dropout=spec.dropout,
        ),
        features=features,
        min_size=min_image_size(spec),
        auxiliary=auxiliary,
    )
    initialize(network)
    return network


def make_second_convolutions(spec: GoogLeNetSpec, make_conv: MakeConv) -> Stage:
    """Make the 1x1 and 3x3 convolutions between the first two pools, normalised on both sides."""
    response = spec.norm == "response"
    children: OrderedDict[str, nn.Module] = OrderedDict()
    if spec.stem == "imagenet":
        children["pool"] = make_pool(3)
    if response:
        children["norm1"] = make_response_norm()
    children["conv1"] = make_conv(64, Conv(64))
    children["conv2"] = make_conv(64, Conv(192, 3))
    if response:
        children["norm2"] = make_response_norm()
    return Stage(children)


def make_pool(side: int) -> nn.MaxPool2d:
    """Halve the maps, rounding up: 112, 56, 28, 14, 7."""
    return nn.MaxPool2d(side, stride=2, ceil_mode=True)


def make_response_norm() -> LocalResponseNorm:
    """Make the norm of Caffe's GoogLeNet, where 1e-4 is divided by the size of the window."""
    return LocalResponseNorm(5, alpha=1e-4 / 5, beta=0.75, k=1.0)


def inception(spec: GoogLeNetSpec, widths: tuple[int, ...]) -> Fork:
    """List the branches of one module: figure 2(b), or figure 2(a) with the same widths."""
    one, reduce3, three, reduce5, five, projection = widths
    large, pool = Conv(five, spec.large_kernel), Pool("max")
    if spec.module == "naive":
        return fork([Conv(one)], [Conv(three, 3)], [large], [pool])
    return fork(
        [Conv(one)],
        [Conv(reduce3), Conv(three, 3)],
        [Conv(reduce5), large],
        [pool, Conv(projection)],
    )


def make_auxiliary(
    spec: GoogLeNetSpec, stage: str, block: str, width: int, make_conv: MakeConv
) -> AuxiliaryHead:
    """Make a small classifier on the output of a module: section 5, "Training Methodology"."""
    pool = nn.AdaptiveAvgPool2d(GRID) if spec.auxiliary_pool == "adaptive" else GridPool()
    features = OrderedDict(
        pool=pool,
        conv=make_conv(width, Conv(128)),
        flatten=nn.Flatten(),
        fc=nn.Linear(128 * GRID**2, 1024),
        act=nn.ReLU(),
    )
    head = Head(
        nn.Sequential(features),
        num_features=1024,
        num_classes=spec.num_classes,
        dropout=AUXILIARY_DROPOUT,
    )
    return AuxiliaryHead(head, stage=stage, block=block, weight=AUXILIARY_WEIGHT)


class GridPool(nn.Module):
    """Average a map to 4x4: windows of 5x5 at stride 3, as in the paper, for 14 to 16 pixels.

    Maps of other sizes than the paper's 14 get windows that fit; at 15 and 16 the paper's windows
    still make a 4x4 grid.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, 4, 4)."""
        if all((side - 5) // 3 + 1 == GRID for side in x.shape[2:]):
            return F.avg_pool2d(x, 5, stride=3)
        return F.adaptive_avg_pool2d(x, GRID)


def min_image_size(spec: GoogLeNetSpec) -> int:
    """Return the least side of an image that leaves something for every pool."""
    side = min_input_size(1, kernel=spec.last_pool, stride=2, ceil=True)
    # From the last pool back to the image; ceil_mode lets a window reach over the border.
    for _ in range(2 if spec.stem == "small" else 3):
        side = min_input_size(side, kernel=3, stride=2, ceil=True)
    return side if spec.stem == "small" else min_input_size(side, kernel=7, stride=2, padding=3)


SOURCE = "Szegedy et al. 2014, Going Deeper with Convolutions, table 1 and section 5"
LRN = (
    "the paper gives no constants of its local response normalisation: those of Caffe's GoogLeNet "
    "(window 5, alpha 1e-4 over the window's size, beta 0.75, k 1)"
)
SIZES = (
    "a global average before the classifier and, where the auxiliary classifiers' 5x5 windows "
    "of stride 3 do not make a 4x4 grid, windows that do: the same at the paper's 224 pixels, "
    "and other sizes work"
)
PARAMS = (
    "the parameters include the auxiliary classifiers' 6,379,728, which only training needs; "
    "the sum of table 1 does not, and its rows do not all agree with its own widths"
)

ENTRIES: tuple[Entry, ...] = (
    Entry(
        family="googlenet",
        spec=GoogLeNetSpec(name="googlenet", dropout=0.4),
        source=SOURCE,
        summary="as in the paper",
        paper={
            "params": 6.8e6,
            "macs": 1.5e9,
            "top5_error_pct": 10.07,
            "protocol": "ILSVRC 2014 validation, single model, single crop",
        },
        deviations=(LRN, SIZES, PARAMS),
    ),
    Entry(
        family="googlenet",
        spec=GoogLeNetSpec(
            name="googlenet_bn",
            dropout=0.2,
            norm="batch",
            large_kernel=3,
            last_pool=2,
            auxiliary_pool="adaptive",
        ),
        source=f"{SOURCE}, as changed in torchvision",
        summary="torchvision's",
        deviations=(
            "torchvision's network, after TF-slim: a batch norm behind every convolution instead "
            "of biases and local response normalisation",
            "3x3 convolutions where the paper has 5x5",
            "a last max pool of 2x2 instead of 3x3",
            "auxiliary classifiers behind adaptive pooling to 4x4 instead of 5x5 windows of "
            "stride 3",
            "20% dropout before the classifier instead of 40%",
        ),
    ),
    Entry(
        family="googlenet",
        spec=GoogLeNetSpec(name="googlenet_naive", dropout=0.4, module="naive"),
        source=f"{SOURCE}; modules of figure 2(a)",
        summary="naive modules",
        deviations=(
            "the paper draws the naive module and builds no network of it: table 1's widths of "
            "the 1x1, 3x3 and 5x5 convolutions, without the 1x1 reductions and without the "
            "projection behind the pool, which passes on all the channels it gets",
            LRN,
            SIZES,
        ),
    ),
)

SECTIONS = (Section("GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842)", ENTRIES),)
