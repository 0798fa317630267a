"""MobileNet (Howard et al. 2017, arXiv 1704.04861), as data."""

from __future__ import annotations

import dataclasses
from typing import Literal, Self, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.network import NetworkSpec, Stem, spec_kind
from reslab.spec.resnet import StageSpec

Layer = Literal["separable", "full"]


@spec_kind("mobilenet_v1")
@dataclasses.dataclass(frozen=True, kw_only=True)
class MobileNetSpec(NetworkSpec):
    """A first convolution, then stages of depthwise separable convolutions.

    The paper's resolution multiplier is `img_size`.

    Args:
        stages: width, number and first stride of the layers, before the width multiplier.
        stem_width: channels of the first convolution, before the width multiplier.
        width_multiplier: the paper's alpha, in (0, 2]: what every number of channels is
            multiplied with.
        layer: "separable", or "full" for a 3x3 convolution in place of each pair.
        stem: "small" takes the stride from the first convolution and from the first stage
            that has one: images of 32 px then end in maps of 4x4.
    """

    stages: tuple[StageSpec, ...]
    stem_width: int = 32
    width_multiplier: float = 1.0
    layer: Layer = "separable"
    stem: Stem = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, allowed in (("layer", get_args(Layer)), ("stem", get_args(Stem))):
            if getattr(self, field) not in allowed:
                raise unknown(field, str(getattr(self, field)), allowed)
        if not 0 < self.width_multiplier <= 2:
            raise UsageError(
                f"width_multiplier must be in (0, 2], received {self.width_multiplier}"
            )
        if not self.stages:
            raise UsageError(f"network '{self.name}' has no stages")

    def scaled(self, width: int) -> int:
        """Return a number of channels after the width multiplier, at least 1."""
        return max(1, round(self.width_multiplier * width))

    def with_stem(self, stem: Stem) -> Self:
        """Give the network the first layers for small or for large images."""
        return dataclasses.replace(self, stem=stem)
