"""Residual networks of our own for photographs that are neither CIFAR's nor ImageNet's size."""

from __future__ import annotations

from reslab.catalog.entry import Entry
from reslab.spec import ResNetSpec, StageSpec, StemSpec

ENTRIES: tuple[Entry, ...] = (
    Entry(
        family="resnet",
        spec=ResNetSpec(
            name="resnet18_half",
            img_size=64,
            stem=StemSpec(width=32, kernel=3, stride=2, max_pool=False),
            stages=tuple(
                StageSpec(width=w, depth=2, stride=s)
                for w, s in ((32, 1), (64, 2), (128, 2), (256, 2))
            ),
        ),
        source="reslab; blocks and stages of He et al. 2015, section 3.3",
        summary="64 to 96 px photos",
        deviations=(
            "half the width of resnet18",
            "a 3x3 stem of stride 2 without a max pool, so that 64 px leave a 4x4 map",
        ),
    ),
)
