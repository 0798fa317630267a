"""The ImageNet networks of He et al. 2015 (arXiv 1512.03385), table 1."""

from __future__ import annotations

from reslab.catalog.entry import Entry, Published
from reslab.spec import Branch, ResNetSpec, ShortcutOption, StageSpec, StemSpec, StrideOn

SOURCE = "He et al. 2015, Deep Residual Learning for Image Recognition, sections 3 and 4.1"
STEM = StemSpec(width=64, kernel=7, stride=2, max_pool=True)
DEPTHS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
MACS: dict[int, float] = {18: 1.8e9, 34: 3.6e9, 50: 3.8e9, 101: 7.6e9, 152: 11.3e9}
POOL = (
    "the max pool pads by one pixel on each side, as fb.resnet.torch and torchvision do; the "
    "authors' Caffe release pads none and rounds up, which shifts its windows by one pixel"
)
V15 = (
    "stride 2 on the 3x3 convolution of a bottleneck (the form known as v1.5, as in "
    "fb.resnet.torch and torchvision) instead of the first 1x1"
)
TEN_CROP = "ILSVRC 2012 validation, single model, 10-crop"


def _entry(
    name: str,
    depth: int,
    shortcut: ShortcutOption,
    summary: str,
    *,
    paper: Published,
    deviations: tuple[str, ...] = (),
    stride_on: StrideOn = "1x1",
) -> Entry:
    branch: Branch = "basic" if depth < 50 else "bottleneck"
    widths = zip((64, 128, 256, 512), DEPTHS[depth], (1, 2, 2, 2), strict=True)
    spec = ResNetSpec(
        name=name,
        stem=STEM,
        stages=tuple(StageSpec(width=w, depth=d, stride=s) for w, d, s in widths),
        branch=branch,
        shortcut=shortcut,
        stride_on=stride_on,
    )
    return Entry(
        family="plain" if shortcut == "none" else "resnet",
        spec=spec,
        source=SOURCE,
        summary=summary,
        paper=paper,
        deviations=(*deviations, POOL),
    )


def _paper(depth: int, top1: float | None = None, top5: float | None = None) -> Published:
    """Gather what table 1 (cost) and tables 2 and 3 (errors) say."""
    paper: dict[str, float | str] = {"macs": MACS[depth]}
    if top1 is not None:
        paper |= {"error_pct": top1, "protocol": TEN_CROP}
    if top5 is not None:
        paper["top5_error_pct"] = top5
    return paper


ENTRIES: tuple[Entry, ...] = (
    _entry("plain18", 18, "none", "no shortcuts", paper=_paper(18, 27.94)),
    _entry("plain34", 34, "none", "no shortcuts", paper=_paper(34, 28.54, 10.02)),
    _entry(
        "resnet18",
        18,
        "B",
        "projection (B)",
        paper=_paper(18),
        deviations=("shortcut option B; the paper's 18 layers use option A (resnet18_a)",),
    ),
    _entry("resnet18_a", 18, "A", "zero padding (A)", paper=_paper(18, 27.88)),
    _entry(
        "resnet34",
        34,
        "B",
        "projection (B)",
        paper=_paper(34, 24.52, 7.46),
    ),
    _entry("resnet34_a", 34, "A", "zero padding (A)", paper=_paper(34, 25.03, 7.76)),
    _entry("resnet34_c", 34, "C", "all projected (C)", paper=_paper(34, 24.19, 7.40)),
    _entry("resnet50", 50, "B", "bottleneck (B)", paper=_paper(50, 22.85, 6.71)),
    _entry(
        "resnet50_c",
        50,
        "C",
        "bottleneck (C)",
        paper={},
        deviations=("shortcut option C; the paper's bottleneck networks use option B",),
    ),
    _entry("resnet101", 101, "B", "bottleneck (B)", paper=_paper(101, 21.75, 6.05)),
    _entry("resnet152", 152, "B", "bottleneck (B)", paper=_paper(152, 21.43, 5.71)),
    *(
        _entry(
            f"resnet{depth}_v15",
            depth,
            "B",
            "bottleneck, v1.5",
            paper={},
            deviations=(V15,),
            stride_on="3x3",
        )
        for depth in (50, 101, 152)
    ),
)
