"""GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842), as data."""

from __future__ import annotations

import dataclasses
from typing import Literal, Self, get_args

from reslab.errors import unknown
from reslab.spec.network import NetworkSpec, Stem, spec_kind

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

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, allowed in (
            ("module", get_args(Module)),
            ("norm", get_args(Norm)),
            ("large_kernel", get_args(LargeKernel)),
            ("last_pool", get_args(LastPool)),
            ("auxiliary_pool", get_args(AuxiliaryPool)),
            ("stem", get_args(Stem)),
        ):
            if getattr(self, field) not in allowed:
                raise unknown(field, str(getattr(self, field)), [str(value) for value in allowed])

    def with_stem(self, stem: Stem) -> Self:
        """Give the network its first layers for images of about 32 pixels, or the published."""
        return dataclasses.replace(self, stem=stem)

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: the paper has none."""
        return self.norm == "batch"
