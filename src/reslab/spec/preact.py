"""Pre-activation networks (He et al. 2016, arXiv 1603.05027), as data."""

from __future__ import annotations

import dataclasses

from reslab.errors import UsageError
from reslab.spec.network import spec_kind
from reslab.spec.resnet import ResNetSpec


@spec_kind("preact")
@dataclasses.dataclass(frozen=True, kw_only=True)
class PreActSpec(ResNetSpec):
    """A residual network of pre-activation units, x + F(x) with F = conv relu BN conv relu BN.

    The first unit of each stage applies its first batch norm and ReLU before the two paths
    part; the others to the branch alone. Projections have no batch norm. A batch norm and a
    ReLU follow the last unit.

    Args:
        stem_activation: False as for the paper's CIFAR networks: the first convolution is
            alone, and the batch norm and ReLU behind it are those that the first unit's paths
            share. True as for ImageNet: they follow the convolution directly, in front of the
            max pool, and the first unit has none of its own.

    Source: He et al. 2016, section 4 and appendix; released code resnet-1k-layers (CIFAR) and
    fb.resnet.torch (ImageNet).
    """

    stem_activation: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortcut == "none":
            raise UsageError("pre-activation units have a shortcut, received shortcut 'none'")
