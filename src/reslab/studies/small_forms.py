"""The ancestors of residual networks, narrow enough to train on small images in minutes."""

from __future__ import annotations

import dataclasses

from reslab.networks import entry
from reslab.networks.alexnet import AlexNetSpec
from reslab.networks.highway import HighwaySpec, HighwayStageSpec
from reslab.networks.ideas import HighwayCNNSpec
from reslab.networks.inception import SmallInceptionSpec
from reslab.networks.vgg import VggShortcut, VggSpec, VggStageSpec

FC_WIDTHS = (128, 128)


def alexnet() -> AlexNetSpec:
    """Return AlexNet for small images with a quarter of its channels."""
    spec = entry("alexnet").spec
    assert isinstance(spec, AlexNetSpec)
    spec = spec.with_stem("small")
    convolutions = tuple(
        dataclasses.replace(one, width=one.width // 4) for one in spec.convolutions
    )
    return dataclasses.replace(
        spec, name="alexnet_small", convolutions=convolutions, fc_grid=2, fc_widths=FC_WIDTHS
    )


def vgg(name: str, *, batch_norm: bool = False, shortcut: VggShortcut = "none") -> VggSpec:
    """Return eight convolutions in four stages and three fully-connected layers."""
    return VggSpec(
        name=name,
        img_size=16,
        stages=tuple(VggStageSpec(width=width, kernels=(3, 3)) for width in (16, 32, 64, 64)),
        fc_grid=1,
        fc_widths=FC_WIDTHS,
        batch_norm=batch_norm,
        shortcut=shortcut,
    )


def inception(name: str, scale: float | None) -> SmallInceptionSpec:
    """Return one module of each kind, residual with a scale and plain without."""
    return SmallInceptionSpec(name=name, img_size=16, depths=(1, 1, 1), scale=scale)


def highway() -> HighwaySpec:
    """Return nineteen layers, eighteen of them highway layers."""
    return HighwaySpec(
        name="highway_small",
        img_size=16,
        stem_width=16,
        input_dropout=0.0,
        stages=tuple(
            HighwayStageSpec(width=width, depth=6, pool=2 if i else 0)
            for i, width in enumerate((16, 16, 16))
        ),
    )


def highway_cnn(name: str, *, gated: bool) -> HighwayCNNSpec:
    """Return ten convolutions, with a highway layer behind each or without."""
    return HighwayCNNSpec(name=name, img_size=16, width=16, highway=gated)
