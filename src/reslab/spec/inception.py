"""Inception-v4 and Inception-ResNet (Szegedy et al. 2016, arXiv 1602.07261), as data."""

from __future__ import annotations

import dataclasses
from typing import Literal, Self, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.network import NetworkSpec, Stem, spec_kind

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
        if self.variant not in get_args(Variant):
            raise unknown("variant", str(self.variant), get_args(Variant))
        if self.stem not in get_args(Stem):
            raise unknown("stem", str(self.stem), get_args(Stem))
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
        if self.stem not in get_args(Stem):
            raise unknown("stem", str(self.stem), get_args(Stem))
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
