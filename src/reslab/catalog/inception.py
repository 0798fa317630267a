"""Inception-v4 and Inception-ResNet (Szegedy et al. 2016, arXiv 1602.07261)."""

from __future__ import annotations

from reslab.catalog.entry import Entry, Published
from reslab.spec.inception import InceptionSpec, SmallInceptionSpec, Variant

TITLE = (
    "Szegedy et al. 2016, Inception-v4, Inception-ResNet and the Impact of Residual Connections "
    "on Learning"
)
PROTOCOL = "ILSVRC 2012 validation without the blacklisted images, single model, single crop"
ORDER = (
    "the order of 1x7 and 7x1 and of 1x3 and 3x1 convolutions, and of the branches, is that of "
    "the authors' released code (TF-slim), with which the paper's figures do not always agree"
)
SCALES = (
    "residual scales 0.17, 0.10 and 0.20 for modules A, B and C, as in the authors' released "
    "code; the paper says 0.1 to 0.3 only"
)
TYPOS = (
    "the linear convolutions of modules B and C put out 1152 and 2144 channels, the width of "
    "what they are added to; figures 17 and 19 print 1154 and 2048"
)


def _entry(
    name: str,
    variant: Variant,
    depths: tuple[int, int, int],
    section: str,
    summary: str,
    *,
    paper: Published,
    deviations: tuple[str, ...],
) -> Entry:
    spec = InceptionSpec(
        name=name,
        img_size=299,
        dropout=0.2,
        variant=variant,
        depths=depths,
        scales=None if variant == "v4" else (0.17, 0.10, 0.20),
    )
    return Entry(
        family="inception",
        spec=spec,
        source=f"{TITLE}, {section}",
        summary=summary,
        paper=paper,
        deviations=deviations,
    )


def _paper(top1: float, top5: float) -> Published:
    """Gather what table 2 says."""
    return {"error_pct": top1, "top5_error_pct": top5, "protocol": PROTOCOL}


def _small(name: str, scale: float | None, summary: str, deviations: tuple[str, ...]) -> Entry:
    spec = SmallInceptionSpec(name=name, num_classes=10, img_size=32, depths=(3, 3, 3), scale=scale)
    return Entry(
        family="inception",
        spec=spec,
        source=f"reslab; modules after {TITLE}, sections 3.2 and 3.3",
        summary=summary,
        deviations=deviations,
    )


NOT_IN_PAPER = (
    "not in the paper: modules A, B and C with fewer and narrower convolutions, three of each, "
    "on maps of 32, 16 and 8 pixels"
)

ENTRIES: tuple[Entry, ...] = (
    _entry(
        "inception_v4",
        "v4",
        (4, 7, 3),
        "section 3.1, figure 9",
        "pure Inception",
        paper=_paper(20.0, 5.0),
        deviations=(ORDER,),
    ),
    _entry(
        "inception_resnet_v1",
        "resnet_v1",
        (5, 10, 5),
        "section 3.2, figure 15",
        "cost of v3",
        paper=_paper(21.3, 5.5),
        deviations=(SCALES, ORDER),
    ),
    _entry(
        "inception_resnet_v2",
        "resnet_v2",
        (5, 10, 5),
        "section 3.2, figure 15",
        "cost of v4",
        paper=_paper(19.9, 4.9),
        deviations=(TYPOS, SCALES, ORDER),
    ),
    _entry(
        "inception_resnet_v2_slim",
        "resnet_v2_slim",
        (10, 20, 10),
        "as changed in TF-slim",
        "TF-slim, timm",
        paper={},
        deviations=(
            "the network that TF-slim, Keras and timm call Inception-ResNet-v2, not the paper's: "
            "the stem of v1, an Inception module of 320 channels behind it, 10, 20 and 10 "
            "modules instead of 5, 10 and 5, and a 1x1 convolution to 1536 channels at the end",
            "the last module C is neither scaled nor followed by a ReLU",
        ),
    ),
    _small(
        "inception_resnet_small",
        0.2,
        "residual, 32 px",
        (NOT_IN_PAPER, "a residual scale of 0.2 in every module"),
    ),
    _small(
        "inception_plain_small",
        None,
        "no shortcuts",
        (
            NOT_IN_PAPER,
            "the plain counterpart of inception_resnet_small: relu(F(x)) in place of "
            "relu(x + 0.2 F(x)), and no scale, for there is nothing to weigh F(x) against",
        ),
    ),
)
