"""ShuffleNet (Zhang et al. 2017, arXiv 1707.01083), as data."""

from __future__ import annotations

import dataclasses
from typing import Self, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.network import NetworkSpec, Stem, spec_kind

# Channels that leave the first stage of units at full width, by groups: the paper's table 1.
STAGE_WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
# Channels of the first convolution by width multiplier: the authors' later release; at 0.25,
# which it lacks, the number that gives the 13 million multiply-adds of the paper's table 2.
STEM_WIDTHS = {0.25: 12, 0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}
BOTTLENECK_REDUCTION = 4


@spec_kind("shufflenet_v1")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ShuffleNetSpec(NetworkSpec):
    """A first convolution and max pool, then stages of units of grouped 1x1 convolutions.

    Args:
        groups: of the 1x1 convolutions: 1, 2, 3, 4 or 8.
        width_multiplier: the paper's s: 0.25, 0.5, 1, 1.5 or 2.
        depths: units of each stage; the first one of each subsamples, and channels double
            from stage to stage.
        shuffle: whether channels are shuffled after the first grouped convolution of a unit.
        stem: "small" takes the stride from the first convolution and leaves out the max pool:
            images of 32 px then end in maps of 4x4.
    """

    groups: int
    width_multiplier: float = 1.0
    depths: tuple[int, ...] = (4, 8, 4)
    shuffle: bool = True
    stem: Stem = "imagenet"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups not in STAGE_WIDTHS:
            raise UsageError(
                f"groups must be one of {_listed(STAGE_WIDTHS)}, received {self.groups}"
            )
        if self.width_multiplier not in STEM_WIDTHS:
            raise UsageError(
                f"width_multiplier must be one of {_listed(STEM_WIDTHS)}, "
                f"received {self.width_multiplier}"
            )
        if not self.depths or min(self.depths) < 1:
            raise UsageError(f"every stage needs one unit or more, received depths {self.depths}")
        if self.stem not in get_args(Stem):
            raise unknown("stem", str(self.stem), get_args(Stem))

    @property
    def stem_width(self) -> int:
        """Channels of the first convolution: a multiple of the groups.

        The first unit puts its own output beside its input, so both are in whole groups.
        """
        return _multiple(STEM_WIDTHS[self.width_multiplier], self.groups)

    @property
    def stage_width(self) -> int:
        """Channels that leave the first stage: four times a multiple of the groups.

        A unit is four times narrower inside, and its convolutions there are grouped too. The
        paper's own widths all are such multiples at full width; others are rounded to the
        nearest one, halves up.
        """
        width = self.width_multiplier * STAGE_WIDTHS[self.groups]
        return _multiple(width, BOTTLENECK_REDUCTION * self.groups)

    def with_stem(self, stem: Stem) -> Self:
        """Give the network the first layers for small or for large images."""
        return dataclasses.replace(self, stem=stem)


def _multiple(width: float, of: int) -> int:
    """Return the nearest multiple, at least one; halves are rounded up."""
    return of * max(1, int(width / of + 0.5))


def _listed(values: dict[int, int] | dict[float, int]) -> str:
    return ", ".join(f"{value:g}" for value in values)
