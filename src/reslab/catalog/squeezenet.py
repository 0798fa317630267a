"""SqueezeNet (Iandola et al. 2016, arXiv 1602.07360)."""

from __future__ import annotations

from reslab.catalog.entry import Entry, Published
from reslab.spec.squeezenet import Bypass, FireSpec, SqueezeNetSpec

SOURCE = "Iandola et al. 2016, SqueezeNet (arXiv 1602.07360), table 1"
BYPASS_SOURCE = "Iandola et al. 2016, SqueezeNet (arXiv 1602.07360), section 6"
PROTOCOL = "ILSVRC 2012 validation, centre crop"
FIRES = tuple(
    FireSpec(squeeze=squeeze, expand=expand)
    for squeeze, expand in (
        (16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)
    )
)  # fmt: skip
PADDING = (
    "the classifier (conv10) pads nothing, as the paper's 13x13 map says; the authors' release "
    "pads it by one pixel, which averages 15x15 positions"
)
IN_RELEASE_ONLY = "not in the paper: version 1.1 of the authors' repository, 2.4 times cheaper"


def _entry(
    name: str,
    summary: str,
    *,
    source: str = SOURCE,
    stem: tuple[int, int] = (96, 7),
    fires_before_pool: tuple[int, int] = (3, 7),
    bypass: Bypass = "none",
    paper: Published | None = None,
    deviations: tuple[str, ...] = (PADDING,),
) -> Entry:
    first, second = fires_before_pool
    width, kernel = stem
    return Entry(
        family="squeezenet",
        spec=SqueezeNetSpec(
            name=name,
            img_size=227,
            dropout=0.5,
            stem_width=width,
            stem_kernel=kernel,
            stages=(FIRES[:first], FIRES[first:second], FIRES[second:]),
            bypass=bypass,
        ),
        source=source,
        summary=summary,
        paper=paper or {},
        deviations=deviations,
    )


def _paper(top1: float, top5: float, params: int | None = None) -> Published:
    """Gather what the paper prints as accuracies, as errors."""
    paper: dict[str, float | str] = {
        "error_pct": round(100 - top1, 2),
        "top5_error_pct": round(100 - top5, 2),
        "protocol": PROTOCOL,
    }
    if params is not None:
        paper["params"] = params
    return paper


ENTRIES: tuple[Entry, ...] = (
    _entry("squeezenet1_0", "no bypass", paper=_paper(57.5, 80.3, 1_248_424)),
    _entry(
        "squeezenet1_0_simple",
        "identity bypass",
        source=BYPASS_SOURCE,
        bypass="simple",
        paper=_paper(60.4, 82.5),
    ),
    _entry(
        "squeezenet1_0_complex",
        "1x1 conv bypass",
        source=BYPASS_SOURCE,
        bypass="complex",
        paper=_paper(58.8, 82.0),
    ),
    _entry(
        "squeezenet1_1",
        "early pools",
        stem=(64, 3),
        fires_before_pool=(2, 4),
        deviations=(IN_RELEASE_ONLY, PADDING),
    ),
)
