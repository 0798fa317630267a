"""ZFNet (Zeiler and Fergus 2013, arXiv 1311.2901), as data."""

from __future__ import annotations

import dataclasses
from typing import Self, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.alexnet import ConvolutionSpec
from reslab.spec.fully_connected import FullyConnectedSpec
from reslab.spec.network import Stem, spec_kind


@spec_kind("zfnet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ZFNetSpec(FullyConnectedSpec):
    """Five convolutions with 3x3 max pools of stride 2 after the first, second and fifth.

    Other than AlexNet's, the first two pools are normalised afterwards, and a last window may
    reach over the border of a map.

    Args:
        convolutions: the five.

    Source: Zeiler and Fergus 2013, figure 3.
    """

    fc_grid: int = 6
    convolutions: tuple[ConvolutionSpec, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.convolutions) != 5:
            raise UsageError(
                f"{self.name} needs five convolutions, received {len(self.convolutions)}"
            )

    @property
    def is_small(self) -> bool:
        """Whether this is the form for small images."""
        return self.convolutions[0].stride == 1

    def with_stem(self, stem: Stem) -> Self:
        """Choose between the first layers of ImageNet and ones for images of about 32 pixels.

        "small" is a 3x3 convolution of stride 1 instead of 7x7 of stride 2, stride 1 in the
        second convolution too, and hidden fully-connected layers of 1024 instead of 4096: 32
        pixels leave a 4x4 map, not 6x6. Its weights begin as N(0, 2 / fan_in).
        """
        if stem not in get_args(Stem):
            raise unknown("stem", str(stem), get_args(Stem))
        small = stem == "small"
        first, second, *rest = self.convolutions
        stride = 1 if small else 2
        first = dataclasses.replace(first, kernel=3 if small else 7, stride=stride, padding=1)
        second = dataclasses.replace(second, stride=stride, padding=2 if small else 0)
        return dataclasses.replace(
            self,
            convolutions=(first, second, *rest),
            fc_grid=4 if small else 6,
            fc_widths=(1024, 1024) if small else (4096, 4096),
        )
