"""MobileNet (Howard et al. 2017, arXiv 1704.04861)."""

from __future__ import annotations

from reslab.catalog.entry import Entry, Published
from reslab.spec import StageSpec
from reslab.spec.mobilenet import Layer, MobileNetSpec

SOURCE = "Howard et al. 2017, MobileNets (arXiv 1704.04861), table 1"
PROTOCOL = "ImageNet, single view"
DEPTHS = (1, 2, 2, 6, 2)
SHALLOW_DEPTHS = (1, 2, 2, 1, 2)
STRIDE = (
    "the last depthwise convolution has stride 1; table 1 prints stride 2, which contradicts "
    "the 7x7 map it prints as the output"
)
START = (
    "weights begin as in He et al. 2015 (arXiv 1502.01852), and batch norms have epsilon 1e-5; "
    "the paper says neither"
)


def _entry(
    name: str,
    summary: str,
    table: str,
    paper: Published,
    *,
    width_multiplier: float = 1.0,
    depths: tuple[int, ...] = DEPTHS,
    layer: Layer = "separable",
) -> Entry:
    shapes = zip((64, 128, 256, 512, 1024), depths, (1, 2, 2, 2, 2), strict=True)
    return Entry(
        family="mobilenet",
        spec=MobileNetSpec(
            name=name,
            stages=tuple(StageSpec(width=w, depth=d, stride=s) for w, d, s in shapes),
            width_multiplier=width_multiplier,
            layer=layer,
        ),
        source=f"{SOURCE} and {table}",
        summary=summary,
        paper=paper,
        deviations=(STRIDE, START),
    )


def _paper(accuracy: float, macs: float, params: float) -> Published:
    """Gather what tables 4 to 7 say, the accuracy as an error."""
    return {
        "error_pct": round(100 - accuracy, 2),
        "macs": macs * 1e6,
        "params": params * 1e6,
        "protocol": PROTOCOL,
    }


ENTRIES: tuple[Entry, ...] = (
    _entry("mobilenet_v1", "separable", "table 6", _paper(70.6, 569, 4.2)),
    _entry(
        "mobilenet_v1_075",
        "0.75 the width",
        "table 6",
        _paper(68.4, 325, 2.6),
        width_multiplier=0.75,
    ),
    _entry(
        "mobilenet_v1_050",
        "half the width",
        "table 6",
        _paper(63.7, 149, 1.3),
        width_multiplier=0.5,
    ),
    _entry(
        "mobilenet_v1_025",
        "0.25 the width",
        "table 6",
        _paper(50.6, 41, 0.5),
        width_multiplier=0.25,
    ),
    _entry(
        "mobilenet_v1_shallow",
        "five layers less",
        "table 5",
        _paper(65.3, 307, 2.9),
        depths=SHALLOW_DEPTHS,
    ),
    _entry(
        "mobilenet_v1_conv",
        "full convolutions",
        "table 4",
        _paper(71.7, 4866, 29.3),
        layer="full",
    ),
)
