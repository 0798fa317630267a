"""ZFNet (Zeiler and Fergus 2013, arXiv 1311.2901)."""

from __future__ import annotations

from reslab.catalog.alexnet import GRID, RANGE
from reslab.catalog.entry import Entry
from reslab.spec.alexnet import ConvolutionSpec
from reslab.spec.zfnet import ZFNetSpec

SOURCE = (
    "Zeiler and Fergus 2013, Visualizing and Understanding Convolutional Networks "
    "(arXiv 1311.2901), "
)
DEVIATIONS = (
    "the constants of the contrast normalisation are AlexNet's (k 2, n 5, alpha 1e-4, beta 0.75); "
    "the paper states none",
    "the paper keeps the RMS of each convolution filter at 0.1 at most after every update: that "
    "is part of the training (--max-filter-rms 0.1), for inputs of its range of -128 to 128",
    "weights begin as N(0, 0.01^2); the paper says that they begin at 0.01",
    RANGE,
    GRID,
)


def _entry(
    name: str, widths: tuple[int, int, int], where: str, summary: str, errors: tuple[float, float]
) -> Entry:
    return Entry(
        family="zfnet",
        spec=ZFNetSpec(
            name=name,
            convolutions=(
                ConvolutionSpec(width=96, kernel=7, stride=2),
                ConvolutionSpec(width=256, kernel=5, stride=2, padding=0),
                *(ConvolutionSpec(width=width) for width in widths),
            ),
            dropout=0.5,
        ),
        source=SOURCE + where,
        summary=summary,
        paper={
            "error_pct": errors[0],
            "top5_error_pct": errors[1],
            "protocol": "ILSVRC 2012 validation, single model, 10-crop",
        },
        deviations=DEVIATIONS,
    )


ENTRIES: tuple[Entry, ...] = (
    _entry("zfnet", (384, 384, 256), "figure 3", "7x7 first layer", (38.4, 16.5)),
    _entry("zfnet_b", (512, 1024, 512), "table 2 (b)", "512, 1024, 512", (37.5, 16.0)),
)
