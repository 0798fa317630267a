"""Plain and residual networks of He et al. 2015: a stem, stages of equal blocks, a linear head."""

from __future__ import annotations

import dataclasses
from typing import Literal, Self, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.network import NetworkSpec, Stem, spec_kind

Branch = Literal["basic", "bottleneck"]
ShortcutOption = Literal["none", "A", "B", "C"]
StrideOn = Literal["1x1", "3x3"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StemSpec:
    """The first convolution and what follows it.

    Args:
        width: output channels.
        kernel: side of the convolution.
        stride: its stride.
        max_pool: whether a 3x3 max pool of stride 2 (padding 1) follows.
    """

    width: int
    kernel: int
    stride: int
    max_pool: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSpec:
    """A run of equal blocks; the first one may subsample.

    Args:
        width: channels of the 3x3 convolutions (a bottleneck puts out four times as many).
        depth: number of blocks.
        stride: stride of the first block.
    """

    width: int
    depth: int
    stride: int


@spec_kind("resnet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetSpec(NetworkSpec):
    """A plain or residual network as in He et al. 2015 (arXiv 1512.03385, section 3).

    Args:
        stem: the first layers.
        stages: the runs of blocks.
        branch: two 3x3 convolutions ("basic") or 1x1, 3x3, 1x1 ("bottleneck").
        shortcut: "none" for the plain network; "A" zero padding, "B" projection where
            dimensions change, "C" projection everywhere.
        stride_on: which convolution of a bottleneck subsamples: "1x1" as in the paper,
            "3x3" as in the later form known as v1.5. A basic block always uses its first.
    """

    stem: StemSpec
    stages: tuple[StageSpec, ...]
    branch: Branch = "basic"
    shortcut: ShortcutOption = "B"
    stride_on: StrideOn = "1x1"

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, allowed in (
            ("branch", get_args(Branch)),
            ("shortcut", get_args(ShortcutOption)),
            ("stride_on", get_args(StrideOn)),
        ):
            if getattr(self, field) not in allowed:
                raise unknown(field, str(getattr(self, field)), allowed)
        if not self.stages:
            raise UsageError(f"network '{self.name}' has no stages")

    def with_stem(self, stem: Stem) -> Self:
        """Give a network one 3x3 convolution of stride 1, or 7x7 of stride 2 and a max pool."""
        if stem not in get_args(Stem):
            raise unknown("stem", str(stem), get_args(Stem))
        small = stem == "small"
        first = StemSpec(
            width=self.stem.width,
            kernel=3 if small else 7,
            stride=1 if small else 2,
            max_pool=not small,
        )
        return dataclasses.replace(self, stem=first)
