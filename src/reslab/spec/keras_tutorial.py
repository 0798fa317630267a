"""A Keras tutorial's pre-activation network, as data."""

from __future__ import annotations

import dataclasses
from typing import Self, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.network import NetworkSpec, Stem, spec_kind

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
        if self.stem not in get_args(Stem):
            raise unknown("stem", str(self.stem), get_args(Stem))
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
