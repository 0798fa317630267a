"""ZFNet (Zeiler and Fergus 2013, arXiv 1311.2901)."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Self

from torch import nn

from reslab.errors import UsageError
from reslab.networks.alexnet import GRID, RANGE, ConvolutionSpec, make_convolution, min_conv_input
from reslab.networks.fully_connected import FullyConnectedSpec, make_fully_connected_head
from reslab.networks.init import initialize_gaussian
from reslab.networks.lrn import LocalResponseNorm
from reslab.networks.network import Network, Stage, builds, initialize, min_input_size
from reslab.networks.spec import Entry, Section, Stem, check_stem, spec_kind


@spec_kind("zfnet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ZFNetSpec(FullyConnectedSpec):
    """Five convolutions with 3x3 max pools of stride 2 after the first, second and fifth.

    Other than AlexNet's, the first two pools are normalised afterwards, and a last window may
    reach over the border of a map.

    Args:
        convolutions: the five.

    Source: Zeiler and Fergus 2013, figure 3.
    """

    fc_grid: int = 6
    convolutions: tuple[ConvolutionSpec, ...]

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
        """Choose between the first layers of ImageNet and ones for images of about 32 pixels.

        "small" is a 3x3 convolution of stride 1 instead of 7x7 of stride 2, stride 1 in the
        second convolution too, and hidden fully-connected layers of 1024 instead of 4096: 32
        pixels leave a 4x4 map, not 6x6. Its weights begin as N(0, 2 / fan_in).
        """
        check_stem(stem)
        small = stem == "small"
        first, second, *rest = self.convolutions
        stride = 1 if small else 2
        first = dataclasses.replace(first, kernel=3 if small else 7, stride=stride, padding=1)
        second = dataclasses.replace(second, stride=stride, padding=2 if small else 0)
        return dataclasses.replace(
            self,
            convolutions=(first, second, *rest),
            fc_grid=4 if small else 6,
            fc_widths=(1024, 1024) if small else (4096, 4096),
        )


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
        initialize(network)
        head.initialize_classifier()
    else:
        initialize_gaussian(network, std=STD)
    return network


def _pool() -> nn.MaxPool2d:
    """Overlapping max pooling that leaves nothing out: 110, 26 and 13 become 55, 13 and 6."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def _min_size(spec: ZFNetSpec) -> int:
    """Follow the least map of the head back to the image."""
    first, second, *rest = spec.convolutions
    side = _before_pool(spec.fc_grid if spec.fully_convolutional else 1)
    for convolution in reversed(rest):
        side = min_conv_input(side, convolution)
    side = min_conv_input(_before_pool(side), second)
    return min_conv_input(_before_pool(side), first)


def _before_pool(output: int) -> int:
    return min_input_size(output, kernel=3, stride=2, ceil=True)


SOURCE = (
    "Zeiler and Fergus 2013, Visualizing and Understanding Convolutional Networks "
    "(arXiv 1311.2901), "
)
DEVIATIONS = (
    "the constants of the contrast normalisation are AlexNet's (k 2, n 5, alpha 1e-4, beta 0.75); "
    "the paper states none",
    "the paper keeps the RMS of each convolution filter at 0.1 at most after every update: that "
    "is part of the training (--max-filter-rms 0.1), for inputs of its range of -128 to 128",
    "weights begin as N(0, 0.01^2); the paper says that they begin at 0.01",
    RANGE,
    GRID,
)


def _entry(
    name: str, widths: tuple[int, int, int], where: str, summary: str, errors: tuple[float, float]
) -> Entry:
    return Entry(
        family="zfnet",
        spec=ZFNetSpec(
            name=name,
            convolutions=(
                ConvolutionSpec(width=96, kernel=7, stride=2),
                ConvolutionSpec(width=256, kernel=5, stride=2, padding=0),
                *(ConvolutionSpec(width=width) for width in widths),
            ),
            dropout=0.5,
        ),
        source=SOURCE + where,
        summary=summary,
        paper={
            "error_pct": errors[0],
            "top5_error_pct": errors[1],
            "protocol": "ILSVRC 2012 validation, single model, 10-crop",
        },
        deviations=DEVIATIONS,
    )


ENTRIES: tuple[Entry, ...] = (
    _entry("zfnet", (384, 384, 256), "figure 3", "7x7 first layer", (38.4, 16.5)),
    _entry("zfnet_b", (512, 1024, 512), "table 2 (b)", "512, 1024, 512", (37.5, 16.0)),
)

SECTIONS = (Section("ZFNet (Zeiler and Fergus 2013, arXiv 1311.2901)", ENTRIES),)
