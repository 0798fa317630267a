"""Networks behind a whitening convolution (Jordan 2024, arXiv 2404.00498), as data."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.network import NetworkSpec, spec_kind

Activation = Literal["gelu", "relu"]


@spec_kind("whitened")
@dataclasses.dataclass(frozen=True, kw_only=True)
class WhitenedSpec(NetworkSpec):
    """A whitening convolution, groups of convolutions that halve the map, a max over positions.

    The whitening convolution makes independent values of equal power out of the colours of
    neighbouring pixels. Its weights follow from the training images and stay; its bias learns.
    Batch norms learn their shift and keep the scale 1.

    Args:
        widths: channels of each group.
        convolutions: in each group: 2, or 3 with a shortcut around the last two. A 2x2 max pool
            follows the first one.
        act: the activation behind each batch norm and the whitening convolution.
        whitening: side of the whitening convolution, pixels.
        norm_momentum: share of the new batch in the running statistics of batch norms.
        logit_scale: what the classifier's output is multiplied with.
    """

    widths: tuple[int, ...] = (64, 256, 256)
    convolutions: int = 2
    act: Activation = "gelu"
    whitening: int = 2
    norm_momentum: float = 0.4
    logit_scale: float = 1 / 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.act not in get_args(Activation):
            raise unknown("act", self.act, get_args(Activation))
        if not self.widths or min(self.widths) < 1:
            raise UsageError(f"each group needs channels, received widths {self.widths}")
        if self.convolutions not in (2, 3):
            raise UsageError(f"convolutions must be 2 or 3, received {self.convolutions}")
        if self.whitening < 1:
            raise UsageError(f"whitening must be 1 or more, received {self.whitening}")
        if not 0.0 < self.norm_momentum <= 1.0:
            raise UsageError(f"norm_momentum must be in (0, 1], received {self.norm_momentum}")
        if self.logit_scale <= 0.0:
            raise UsageError(f"logit_scale must be more than 0, received {self.logit_scale}")
