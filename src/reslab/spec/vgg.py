"""VGG A to E (Simonyan and Zisserman 2014, arXiv 1409.1556), and VGG with shortcuts, as data."""

from __future__ import annotations

import dataclasses
from typing import Literal, Self, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.fully_connected import FullyConnectedSpec
from reslab.spec.network import Stem, spec_kind

VggShortcut = Literal["none", "A", "B"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VggStageSpec:
    """The convolutions between two pools.

    Args:
        width: output channels of each.
        kernels: side of each, odd; they keep the size of the map.
    """

    width: int
    kernels: tuple[int, ...]


@spec_kind("vgg")
@dataclasses.dataclass(frozen=True, kw_only=True)
class VggSpec(FullyConnectedSpec):
    """Stages of small convolutions with a 2x2 max pool of stride 2 after each.

    Args:
        stages: the convolutions.
        batch_norm: normalise after each convolution, which the paper does not.
        lrn: normalise the responses of the first convolution, as AlexNet does (A-LRN).
        shortcut: "none" for VGG. "A" and "B" add one around each pair of convolutions of a
            stage after the first stage, an odd one at the end included, with zero padding or
            a projection where the width changes (He et al. 2015, section 3.3).

    Source: Simonyan and Zisserman 2014, table 1.
    """

    fc_grid: int = 7
    stages: tuple[VggStageSpec, ...]
    batch_norm: bool = False
    lrn: bool = False
    shortcut: VggShortcut = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortcut not in get_args(VggShortcut):
            raise unknown("shortcut", str(self.shortcut), get_args(VggShortcut))
        if not self.stages or not all(stage.kernels for stage in self.stages):
            raise UsageError(f"network '{self.name}' has no stages, or one without convolutions")
        if any(kernel % 2 == 0 for stage in self.stages for kernel in stage.kernels):
            raise UsageError(f"network '{self.name}' has a convolution of even side")

    def with_stem(self, stem: Stem) -> Self:
        """Choose between the fully-connected layers for ImageNet and for images of 32 pixels.

        The convolutions stay. Five pools leave one position of 32 pixels: "small" gives the
        fully-connected layers a grid of 1x1 instead of 7x7, and hidden layers of 512 instead
        of 4096.
        """
        if stem not in get_args(Stem):
            raise unknown("stem", str(stem), get_args(Stem))
        small = stem == "small"
        return dataclasses.replace(
            self,
            fc_grid=1 if small else 7,
            fc_widths=(512, 512) if small else (4096, 4096),
        )

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: in the `_bn` forms."""
        return self.batch_norm
