"""A Keras tutorial's pre-activation network."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Self

import torch
import torch.nn.functional as F
from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import AdditiveBlock, SharedActivationBlock, conv, make_pool
from reslab.networks.network import GlobalAveragePool, Head, Network, Stage, builds
from reslab.networks.spec import Entry, NetworkSpec, Section, Stem, spec_kind

BOTTLENECK_REDUCTION = 4
POOL = 8


@spec_kind("keras_tutorial")
@dataclasses.dataclass(frozen=True, kw_only=True)
class KerasTutorialSpec(NetworkSpec):
    """Batch norm on the image, a stem, stages of pre-activation bottlenecks, 8x8 average pooling.

    Args:
        stages: modules of each stage; the first one of each has a projection as its shortcut.
        filters: channels of the stem, then those that leave each stage.
        stem: "imagenet" for what the tutorial prints (the original code's stem for Tiny
            ImageNet): a 5x5 convolution, batch norm, ReLU and a max pool. "small" for the
            original code's stem for CIFAR: one 3x3 convolution.
        global_pool: average each map as a whole instead of its 8x8 windows, so that images of
            any size fit; the same function where the map is 8x8.
        windows: 8x8 windows on each side of the last map; the classifier reads each of them.
        reg: Keras' L2 factor of every convolution and of the classifier: a penalty of
            reg * sum of squares, which is a weight decay of 2 * reg.
        bn_eps: what batch norms add to a variance.
        bn_mom: share of the old running statistics that a batch norm keeps, as Keras counts.
    """

    stages: tuple[int, ...]
    filters: tuple[int, ...]
    stem: Stem = "imagenet"
    global_pool: bool = False
    windows: int = 1
    reg: float = 1e-4
    bn_eps: float = 2e-5
    bn_mom: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stages or min(self.stages) < 1:
            raise UsageError(f"every stage needs one module or more, received {self.stages}")
        if len(self.filters) != len(self.stages) + 1:
            raise UsageError(
                f"{len(self.stages)} stages need {len(self.stages) + 1} numbers of filters (the "
                f"stem's first), received {self.filters}"
            )
        if min(self.filters) < BOTTLENECK_REDUCTION:
            raise UsageError(
                f"filters must be {BOTTLENECK_REDUCTION} or more, received {self.filters}"
            )
        if self.windows < 1:
            raise UsageError(f"windows must be 1 or more, received {self.windows}")
        if not 0 <= self.reg < float("inf"):
            raise UsageError(f"reg must be 0 or more, received {self.reg}")
        if not 0 < self.bn_eps < float("inf"):
            raise UsageError(f"bn_eps must be more than 0, received {self.bn_eps}")
        if not 0 <= self.bn_mom < 1:
            raise UsageError(f"bn_mom must be in [0, 1), received {self.bn_mom}")

    @property
    def reduction(self) -> int:
        """Side of the image over the side of the last map."""
        # The first stage keeps the size; the printed stem's pool halves it in its place.
        halvings = len(self.stages) - (1 if self.stem == "small" else 0)
        return 1 << halvings

    @property
    def weight_decay(self) -> float:
        """The weight decay that does what `reg` does, for convolutions and the classifier."""
        return 2 * self.reg

    def with_stem(self, stem: Stem) -> Self:
        """Give the network the CIFAR stem and global pooling, or what the tutorial prints.

        Both ways of pooling do the same to the 8x8 map that 32 px leave; global pooling takes
        smaller images too.
        """
        return dataclasses.replace(self, stem=stem, global_pool=stem == "small")


class SamePadding(nn.Module):
    """Zeros around a map for a 3x3 convolution of stride 2, as Keras' padding="same" puts them.

    An even side gets one row at its end and none before it, so that windows are centred on
    rows 1, 3, 5, ... and not, as with padding=1, on 0, 2, 4, ...; an odd side gets both.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H + 1 + H % 2, W + 1 + W % 2)."""
        height, width = x.shape[-2:]
        return F.pad(x, (width % 2, 1, height % 2, 1))


class WindowAverage(nn.Module):
    """Average windows of 8x8 positions, then line the windows up as Keras does, channels last.

    Args:
        windows: number on each side that are lined up; other numbers, of images of another
            size than the network's own, are averaged to it.
    """

    def __init__(self, windows: int) -> None:
        super().__init__()
        self.windows = windows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, windows * windows * C)."""
        x = F.adaptive_avg_pool2d(F.avg_pool2d(x, POOL), self.windows)
        return x.permute(0, 2, 3, 1).flatten(1)

    def extra_repr(self) -> str:
        """Say what the printed module does."""
        return f"windows={self.windows}"


@builds(KerasTutorialSpec)
def build_keras_tutorial(spec: KerasTutorialSpec) -> Network:
    """Assemble the network as the tutorial prints it.

    Raises:
        UsageError: the last map is smaller than the 8x8 window of the average pooling.
    """
    least = spec.reduction if spec.global_pool else (POOL - 1) * spec.reduction + 1
    if spec.img_size < least and not spec.global_pool:
        raise _too_small_for_pool(spec)
    small = spec.stem == "small"
    width, reduction = spec.filters[0], 1
    features = [(width, reduction)]
    stages = {}
    for number, depth in enumerate(spec.stages, start=1):
        out_width = spec.filters[number]
        stages[f"stage{number}"] = make_stage(spec, number, depth, width, out_width)
        width = out_width
        reduction *= 1 if number == 1 and small else 2
        features.append((width, reduction))
    network = Network(
        spec,
        stem=make_stem(spec),
        stages=stages,
        head=make_head(spec),
        features=features,
        min_size=least,
    )
    initialize_glorot(network)
    return network


def make_stem(spec: KerasTutorialSpec) -> nn.Sequential:
    """stem(x) = relu(BN(W BN(x))), W 5x5; for small images stem(x) = W BN(x), W 3x3."""
    width = spec.filters[0]
    layers: OrderedDict[str, nn.Module] = OrderedDict(input_norm=_norm(spec, spec.in_chans))
    if spec.stem == "small":
        layers["conv"] = conv(spec.in_chans, width, 3)
    else:
        layers["conv"] = conv(spec.in_chans, width, 5)
        layers["norm"] = _norm(spec, width)
        layers["act"] = nn.ReLU()
    return nn.Sequential(layers)


def make_stage(
    spec: KerasTutorialSpec, number: int, depth: int, in_width: int, out_width: int
) -> Stage:
    """Line up a stage: a module with a projection, then modules with identity shortcuts.

    The printed stem's ZeroPadding2D((1, 1)) and MaxPooling2D((3, 3), strides=(2, 2)) open the
    first stage. They are one max pool here: after a ReLU, a border of zeros never wins.
    """
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    if number == 1 and spec.stem == "imagenet":
        blocks["pool"] = make_pool()
    blocks["block1"] = make_first(spec, in_width, out_width, stride=1 if number == 1 else 2)
    for position in range(2, depth + 1):
        blocks[f"block{position}"] = make_next(spec, out_width)
    return Stage(blocks)


def make_first(
    spec: KerasTutorialSpec, in_width: int, out_width: int, stride: int
) -> SharedActivationBlock:
    """y = F(a) + P a with a = relu(BN(x)), P a 1x1 convolution; also where widths match."""
    activation = OrderedDict(norm=_norm(spec, in_width), act=nn.ReLU())
    return SharedActivationBlock(
        nn.Sequential(activation),
        nn.Sequential(bottleneck_layers(spec, in_width, out_width, stride)),
        nn.Sequential(OrderedDict(conv=conv(in_width, out_width, 1, stride))),
    )


def make_next(spec: KerasTutorialSpec, width: int) -> AdditiveBlock:
    """y = F(relu(BN(x))) + x."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(norm1=_norm(spec, width), act1=nn.ReLU())
    layers.update(bottleneck_layers(spec, width, width, 1))
    return AdditiveBlock(nn.Sequential(layers), nn.Identity())


def bottleneck_layers(
    spec: KerasTutorialSpec, in_width: int, out_width: int, stride: int
) -> OrderedDict[str, nn.Module]:
    """F(a) = W3 relu(BN(W2 relu(BN(W1 a)))), 1x1, 3x3 and 1x1; the 3x3 one subsamples."""
    width = out_width // BOTTLENECK_REDUCTION
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv1"] = conv(in_width, width, 1)
    layers["norm2"] = _norm(spec, width)
    layers["act2"] = nn.ReLU()
    if stride == 1:
        layers["conv2"] = conv(width, width, 3)
    else:
        layers["pad2"] = SamePadding()
        layers["conv2"] = nn.Conv2d(width, width, 3, stride=stride, bias=False)
    layers["norm3"] = _norm(spec, width)
    layers["act3"] = nn.ReLU()
    layers["conv3"] = conv(width, out_width, 1)
    return layers


def make_head(spec: KerasTutorialSpec) -> Head:
    """logits = W dropout(pool(relu(BN(x)))) + b; the print's softmax belongs to the loss."""
    width = spec.filters[-1]
    windows = 1 if spec.global_pool else spec.windows
    features: OrderedDict[str, nn.Module] = OrderedDict(norm=_norm(spec, width), act=nn.ReLU())
    features["pool"] = GlobalAveragePool() if spec.global_pool else WindowAverage(windows)
    return Head(
        nn.Sequential(features),
        num_features=width * windows**2,
        num_classes=spec.num_classes,
        dropout=spec.dropout,
    )


def initialize_glorot(network: Network) -> None:
    """W ~ U(-a, a) with a^2 = 6 / (fan_in + fan_out), b = 0: Keras' own, "glorot_uniform".

    Source: Glorot and Bengio 2010, equation 16.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _norm(spec: KerasTutorialSpec, width: int) -> nn.BatchNorm2d:
    """Keras counts the share of the old statistics that stays, torch the share of the new."""
    return nn.BatchNorm2d(width, eps=spec.bn_eps, momentum=1 - spec.bn_mom)


def _too_small_for_pool(spec: KerasTutorialSpec) -> UsageError:
    side, enough = -(-spec.img_size // spec.reduction), POOL * spec.reduction
    stem = "" if spec.stem == "small" else "the stem for small images ('small'), "
    return UsageError(
        f"{spec.name} averages windows of {POOL}x{POOL} positions, and images of "
        f"{spec.img_size}x{spec.img_size} pixels leave a map of {side}x{side}",
        remedy=f"take images of {enough}x{enough} pixels, {stem}or global_pool",
    )


SOURCE = "A. Rosebrock, Keras ResNet tutorial (pyimagesearch), after the MXNet code of W. Wu"
FILTERS: dict[tuple[int, ...], tuple[int, ...]] = {
    (9, 9, 9): (64, 64, 128, 256),
    (3, 4, 6): (64, 128, 256, 512),
}
COMMON = (
    "puts out logits; the print ends in a softmax",
    "reg is the L2 factor of every layer; the print does not pass it on to its residual modules, "
    "which keep 1e-4 whatever is asked for",
    "running variances are those of torch, of n - 1 values; Keras' are of n",
    "images of another size than its own are averaged to as many 8x8 windows as those leave; "
    "Keras builds another classifier for each size",
)
CIFAR = (
    "the stem of the original code for CIFAR, a 3x3 convolution alone; the print has only the "
    "one for Tiny ImageNet, whose 4x4 map at 32 px is too small for the 8x8 pooling"
)


def _entry(stages: tuple[int, ...], *, cifar: bool) -> Entry:
    name = "_".join(["keras_preact", *map(str, stages)])
    return Entry(
        family="keras",
        spec=KerasTutorialSpec(
            name=f"{name}_cifar" if cifar else name,
            num_classes=10,
            img_size=32 if cifar else 64,
            stages=stages,
            filters=FILTERS[stages],
            stem="small" if cifar else "imagenet",
        ),
        source=SOURCE,
        summary="CIFAR stem" if cifar else "as printed, 64 px",
        deviations=(CIFAR, *COMMON) if cifar else COMMON,
    )


ENTRIES: tuple[Entry, ...] = tuple(
    _entry(stages, cifar=cifar) for cifar in (False, True) for stages in FILTERS
)

SECTIONS = (Section("A Keras tutorial's pre-activation network", ENTRIES),)
