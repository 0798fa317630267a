"""SqueezeNet (Iandola et al. 2016, arXiv 1602.07360), as data."""

from __future__ import annotations

import dataclasses
from typing import Literal, Self, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.network import NetworkSpec, Stem, spec_kind

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
        for field, allowed in (("bypass", get_args(Bypass)), ("stem", get_args(Stem))):
            if getattr(self, field) not in allowed:
                raise unknown(field, str(getattr(self, field)), allowed)
        if not self.stages or not all(self.stages):
            raise UsageError(f"network '{self.name}' has no stages, or one without fire modules")

    def with_stem(self, stem: Stem) -> Self:
        """Give the network the first layers for small or for large images."""
        return dataclasses.replace(self, stem=stem)

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: there are none."""
        return False
