"""SqueezeNet (Iandola et al. 2016, arXiv 1602.07360)."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Literal, Self

import torch
from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import AdditiveBlock
from reslab.networks.network import (
    GlobalAveragePool,
    Head,
    Network,
    Stage,
    builds,
    initialize,
    min_input_size,
)
from reslab.networks.spec import Entry, NetworkSpec, Published, Section, Stem, spec_kind

Bypass = Literal["none", "simple", "complex"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FireSpec:
    """A fire module.

    Args:
        squeeze: channels after its 1x1 convolution.
        expand: channels of each of the two convolutions, 1x1 and 3x3, that are put together.
    """

    squeeze: int
    expand: int


@spec_kind("squeezenet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SqueezeNetSpec(NetworkSpec):
    """A first convolution, fire modules with max pools between them, a convolution as classifier.

    Args:
        stem_width: channels of the first convolution.
        stem_kernel: its side; stride 2, no padding.
        stages: the fire modules; each stage opens with a 3x3 max pool of stride 2.
        bypass: "simple" adds a module's input to its output where both have the same channels,
            "complex" also elsewhere, through a 1x1 convolution.
        stem: "small" makes the first convolution 3x3 with stride 1 and padding 1 and leaves out
            the first max pool: images of 32 px then end in maps of 8x8, like the residual
            networks for CIFAR. Without batch norm it wants small steps: AdamW with a rate of
            3e-4 learns where SGD with a recipe's usual 0.1 puts every logit to zero.
    """

    stem_width: int
    stem_kernel: int
    stages: tuple[tuple[FireSpec, ...], ...]
    bypass: Bypass = "none"
    stem: Stem = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stages or not all(self.stages):
            raise UsageError(f"network '{self.name}' has no stages, or one without fire modules")

    def with_stem(self, stem: Stem) -> Self:
        """Give the network the first layers for small or for large images."""
        return dataclasses.replace(self, stem=stem)

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: there are none."""
        return False


CLASSIFIER_DEVIATION = 0.01


class Fire(nn.Module):
    """y = [relu(E1 s), relu(E3 s)] with s = relu(S x): S and E1 are 1x1, E3 is 3x3.

    Args:
        in_width: channels of the input.
        squeeze: channels of s.
        expand: channels of each half of the output.

    Source: Iandola et al. 2016, section 3.2 and figure 1.
    """

    def __init__(self, in_width: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_width, squeeze, 1)
        self.squeeze_act = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_act = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, in_width, H, W) to (B, 2 expand, H, W)."""
        s = self.squeeze_act(self.squeeze(x))
        pointwise = self.expand1x1_act(self.expand1x1(s))
        spatial = self.expand3x3_act(self.expand3x3(s))
        return torch.cat([pointwise, spatial], dim=1)


class ConvolutionalHead(Head):
    """logits = mean over positions of relu(W dropout(x) + b), W a 1x1 convolution.

    The vector before the classifier is the mean of x over positions, which a network without
    a classifier puts out. Classifiers begin with W ~ N(0, 0.01^2), b = 0.

    Args:
        num_features: channels of x.
        num_classes: number of logits; 0 leaves the features as they are.
        dropout: probability of dropping a value of x.

    Source: Iandola et al. 2016, table 1 (conv10, avgpool10); start from the authors' release.
    """

    def __init__(self, *, num_features: int, num_classes: int, dropout: float) -> None:
        super().__init__(
            GlobalAveragePool(),
            num_features=num_features,
            num_classes=num_classes,
            dropout=dropout,
        )
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Compute the logits (B, num_classes), or the features before the classifier."""
        x = self.dropout(x)
        if pre_logits or isinstance(self.classifier, nn.Identity):
            return self.features(x)  # type: ignore[no-any-return]
        return self.features(self.act(self.classifier(x)))  # type: ignore[no-any-return]

    def reset(self, num_classes: int, dropout: float | None, like: torch.Tensor) -> None:
        """Put a new classifier in place of the old one, of the device and type of `like`."""
        super().reset(num_classes, dropout, like)
        initialize_classifier(self.classifier)

    def _make_classifier(self, num_classes: int) -> nn.Module:
        return nn.Conv2d(self.num_features, num_classes, 1) if num_classes else nn.Identity()


@builds(SqueezeNetSpec)
def build_squeezenet(spec: SqueezeNetSpec) -> Network:
    """Assemble stem, fire modules and classifier as in Iandola et al. 2016, table 1."""
    width, reduction = spec.stem_width, 1 if spec.stem == "small" else 2
    features = [(width, reduction)]
    stages, number = {}, 2  # the paper counts from fire2, after conv1
    for position, fires in enumerate(spec.stages, start=1):
        pooled = position > 1 or spec.stem == "imagenet"
        stages[f"stage{position}"] = make_stage(spec.bypass, fires, width, number, pooled)
        number += len(fires)
        width = 2 * fires[-1].expand
        reduction *= 2 if pooled else 1
        features.append((width, reduction))
    network = Network(
        spec,
        stem=make_stem(spec),
        stages=stages,
        head=ConvolutionalHead(
            num_features=width, num_classes=spec.num_classes, dropout=spec.dropout
        ),
        features=features,
        min_size=min_image_size(spec),
    )
    initialize_as_released(network, small=spec.stem == "small")
    return network


def make_stem(spec: SqueezeNetSpec) -> nn.Sequential:
    """stem(x) = relu(W x + b), the paper's conv1."""
    small = spec.stem == "small"
    kernel = 3 if small else spec.stem_kernel
    stride, padding = (1, 1) if small else (2, 0)
    conv = nn.Conv2d(spec.in_chans, spec.stem_width, kernel, stride=stride, padding=padding)
    return nn.Sequential(OrderedDict(conv=conv, act=nn.ReLU()))


def make_stage(
    bypass: Bypass, fires: tuple[FireSpec, ...], in_width: int, number: int, pooled: bool
) -> Stage:
    """Line up a stage: the max pool where it opens with one, then fire modules by number."""
    children: OrderedDict[str, nn.Module] = OrderedDict()
    if pooled:
        children["pool"] = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    for offset, fire in enumerate(fires):
        children[f"fire{number + offset}"] = make_fire(bypass, fire, in_width)
        in_width = 2 * fire.expand
    return Stage(children)


def make_fire(bypass: Bypass, fire: FireSpec, in_width: int) -> nn.Module:
    """Make a fire module, with the bypass around it that the paper's figure 2 shows there.

    Nothing follows the sum of both. A convolution in the bypass has a bias.

    Source: Iandola et al. 2016, section 6 and figure 2.
    """
    module, out_width = Fire(in_width, fire.squeeze, fire.expand), 2 * fire.expand
    if bypass != "none" and in_width == out_width:
        return AdditiveBlock(module, nn.Identity())
    if bypass == "complex":
        return AdditiveBlock(module, nn.Conv2d(in_width, out_width, 1))
    return module


def min_image_size(spec: SqueezeNetSpec) -> int:
    """Return the least side that every layer can take, from the last pool back to the image."""
    side, small = 1, spec.stem == "small"
    for _ in spec.stages[1:] if small else spec.stages:
        side = min_input_size(side, kernel=3, stride=2, ceil=True)
    return side if small else min_input_size(side, kernel=spec.stem_kernel, stride=2)


def initialize_as_released(network: Network, *, small: bool) -> None:
    """W ~ U(-a, a) with a^2 = 3 / fan_in, b = 0; the classifier W ~ N(0, 0.01^2).

    Source: the authors' release (Caffe's "xavier" filler, and "gaussian" for conv10). That
    halves the signal's power in each of 18 layers, and few images do not make up for it: the
    form for small images begins as in He et al. 2015.
    """
    initialize(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta and not small:
            bound = (3 / module.weight[0].numel()) ** 0.5  # U(-a, a) has variance a^2 / 3
            nn.init.uniform_(module.weight, -bound, bound)
    initialize_classifier(network.head.classifier)


def initialize_classifier(classifier: nn.Module) -> None:
    """W ~ N(0, 0.01^2), b = 0."""
    if isinstance(classifier, nn.Conv2d) and not classifier.weight.is_meta:
        assert classifier.bias is not None
        nn.init.normal_(classifier.weight, std=CLASSIFIER_DEVIATION)
        nn.init.zeros_(classifier.bias)


SOURCE = "Iandola et al. 2016, SqueezeNet (arXiv 1602.07360), table 1"
BYPASS_SOURCE = "Iandola et al. 2016, SqueezeNet (arXiv 1602.07360), section 6"
PROTOCOL = "ILSVRC 2012 validation, centre crop"
FIRES = tuple(
    FireSpec(squeeze=squeeze, expand=expand)
    for squeeze, expand in (
        (16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)
    )
)  # fmt: skip
PADDING = (
    "the classifier (conv10) pads nothing, as the paper's 13x13 map says; the authors' release "
    "pads it by one pixel, which averages 15x15 positions"
)
IN_RELEASE_ONLY = "not in the paper: version 1.1 of the authors' repository, 2.4 times cheaper"


def _entry(
    name: str,
    summary: str,
    *,
    source: str = SOURCE,
    stem: tuple[int, int] = (96, 7),
    fires_before_pool: tuple[int, int] = (3, 7),
    bypass: Bypass = "none",
    paper: Published | None = None,
    deviations: tuple[str, ...] = (PADDING,),
) -> Entry:
    first, second = fires_before_pool
    width, kernel = stem
    return Entry(
        family="squeezenet",
        spec=SqueezeNetSpec(
            name=name,
            img_size=227,
            dropout=0.5,
            stem_width=width,
            stem_kernel=kernel,
            stages=(FIRES[:first], FIRES[first:second], FIRES[second:]),
            bypass=bypass,
        ),
        source=source,
        summary=summary,
        paper=paper or {},
        deviations=deviations,
    )


def _paper(top1: float, top5: float, params: int | None = None) -> Published:
    """Gather what the paper prints as accuracies, as errors."""
    paper: dict[str, float | str] = {
        "error_pct": round(100 - top1, 2),
        "top5_error_pct": round(100 - top5, 2),
        "protocol": PROTOCOL,
    }
    if params is not None:
        paper["params"] = params
    return paper


ENTRIES: tuple[Entry, ...] = (
    _entry("squeezenet1_0", "no bypass", paper=_paper(57.5, 80.3, 1_248_424)),
    _entry(
        "squeezenet1_0_simple",
        "identity bypass",
        source=BYPASS_SOURCE,
        bypass="simple",
        paper=_paper(60.4, 82.5),
    ),
    _entry(
        "squeezenet1_0_complex",
        "1x1 conv bypass",
        source=BYPASS_SOURCE,
        bypass="complex",
        paper=_paper(58.8, 82.0),
    ),
    _entry(
        "squeezenet1_1",
        "early pools",
        stem=(64, 3),
        fires_before_pool=(2, 4),
        deviations=(IN_RELEASE_ONLY, PADDING),
    ),
)

SECTIONS = (Section("SqueezeNet (Iandola et al. 2016, arXiv 1602.07360)", ENTRIES),)
