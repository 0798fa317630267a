"""Highway networks (Srivastava et al. 2015, arXiv 1507.06228), as data."""

from __future__ import annotations

import dataclasses

from reslab.errors import UsageError
from reslab.spec.network import NetworkSpec, spec_kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class HighwayStageSpec:
    """A run of highway layers of one width.

    Where the width differs from what comes before, a plain 3x3 convolution with ReLU changes
    it first: a highway layer cannot.

    Args:
        width: channels.
        depth: number of highway layers.
        pool: side of the max pool of stride 2 that opens the stage; 0 for none.
        dropout: probability of dropping a value behind that pool.
    """

    width: int
    depth: int
    pool: int = 0
    dropout: float = 0.0


@spec_kind("highway")
@dataclasses.dataclass(frozen=True, kw_only=True)
class HighwaySpec(NetworkSpec):
    """A convolutional highway network as in the authors' Caffe specifications.

    Args:
        stem_width: channels of the plain convolution that begins the network.
        stem_kernel: its side.
        stem_padding: zeros on each side of its input.
        input_dropout: probability of dropping a value of the input image.
        stages: the runs of highway layers.
        last_width: channels of a plain 1x1 convolution behind the last stage; 0 for none.
        grid: 0 averages the last map over all positions; otherwise a 2x2 max pool leads to a map
            of this side, which the classifier sees whole.
        gate_bias: where the biases of the gates start; negative, so that layers begin by
            carrying their input.
    """

    stem_width: int
    stem_kernel: int = 3
    stem_padding: int = 1
    input_dropout: float = 0.2
    stages: tuple[HighwayStageSpec, ...]
    last_width: int = 0
    grid: int = 0
    gate_bias: float = -2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stages:
            raise UsageError(f"network '{self.name}' has no stages")
        for stage in self.stages:
            if stage.depth < 1:
                raise UsageError(f"a stage needs a highway layer or more, received {stage.depth}")
            if not 0.0 <= stage.dropout < 1.0:
                raise UsageError(f"dropout of a stage must be in [0, 1), received {stage.dropout}")
        if not 0.0 <= self.input_dropout < 1.0:
            raise UsageError(f"input_dropout must be in [0, 1), received {self.input_dropout}")

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: there are none."""
        return False
