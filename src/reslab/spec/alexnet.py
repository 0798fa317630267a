"""AlexNet (Krizhevsky, Sutskever and Hinton 2012), as data."""

from __future__ import annotations

import dataclasses
from typing import Literal, Self, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.fully_connected import FullyConnectedSpec
from reslab.spec.network import Stem, spec_kind

Initialisation = Literal["gaussian", "he"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvolutionSpec:
    """One convolution.

    Args:
        width: output channels.
        kernel: its side.
        stride: subsampling.
        padding: zeros on each side.
        groups: parts of the channels that do not see each other.
    """

    width: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1


@spec_kind("alexnet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class AlexNetSpec(FullyConnectedSpec):
    """Five convolutions with 3x3 max pools of stride 2 after the first, second and fifth.

    Args:
        convolutions: the five.
        lrn: normalise the responses of the first two, before their pools.
        initialisation: "gaussian" for the paper's: weights N(0, 0.01^2), biases one in the
            second, fourth and fifth convolution and the hidden fully-connected layers. "he"
            for N(0, 2 / fan_in); the form for small images always begins so, because what the
            paper chose for its fan-ins is too little for the short ones.

    Source: Krizhevsky et al. 2012, sections 3 and 5.
    """

    fc_grid: int = 6
    convolutions: tuple[ConvolutionSpec, ...]
    lrn: bool = True
    initialisation: Initialisation = "gaussian"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.convolutions) != 5:
            raise UsageError(
                f"{self.name} needs five convolutions, received {len(self.convolutions)}"
            )
        if self.initialisation not in get_args(Initialisation):
            raise unknown("initialisation", str(self.initialisation), get_args(Initialisation))

    @property
    def is_small(self) -> bool:
        """Whether this is the form for small images."""
        return self.convolutions[0].stride == 1

    def with_stem(self, stem: Stem) -> Self:
        """Choose between the first layer of ImageNet and one for images of about 32 pixels.

        "small" is a 5x5 convolution of stride 1 instead of 11x11 of stride 4, and hidden
        fully-connected layers of 1024 instead of 4096: 32 pixels leave a 3x3 map, a quarter
        of the paper's 6x6.
        """
        if stem not in get_args(Stem):
            raise unknown("stem", str(stem), get_args(Stem))
        small = stem == "small"
        first = dataclasses.replace(
            self.convolutions[0],
            kernel=5 if small else 11,
            stride=1 if small else 4,
            padding=2,
        )
        return dataclasses.replace(
            self,
            convolutions=(first, *self.convolutions[1:]),
            fc_grid=3 if small else 6,
            fc_widths=(1024, 1024) if small else (4096, 4096),
        )
