"""Pre-activation networks (He et al. 2016, arXiv 1603.05027), sections 4 and 5."""

from __future__ import annotations

from reslab.catalog.entry import Entry, Published
from reslab.catalog.identity import PAPER, PROTOCOL, STEM, cifar_stages
from reslab.catalog.imagenet import DEPTHS as IMAGENET_DEPTHS
from reslab.catalog.imagenet import POOL
from reslab.catalog.imagenet import STEM as IMAGENET_STEM
from reslab.spec import Branch, StageSpec
from reslab.spec.preact import PreActSpec

FAN_IN = "weights start from N(0, 2 / fan-in); the authors' released code divides by fan-out"
CROP_320 = "ILSVRC 2012 validation, single model, one 320-pixel crop"
NOT_IN_PAPER = "this depth is not in the paper"
LAYOUT = (
    "laid out as fb.resnet.torch: stride 2 on a bottleneck's 3x3 convolution, batch norm and "
    "ReLU in front of the max pool, none of its own in the first unit"
)
OPTION_A = (
    "the paper does not say how the input fits where dimensions change: here the activated input "
    "is zero-padded, as option A of 2015"
)
CIFAR_PAPER: dict[int, Published] = {
    110: {"error_pct": 6.37, "protocol": PROTOCOL},
    164: {"error_pct": 5.46, "params": 1.7e6, "protocol": PROTOCOL},
    1001: {
        "error_pct": 4.92,
        "error_mean_pct": 4.89,
        "error_std_pct": 0.14,
        "runs": 5,
        "params": 10.2e6,
        "protocol": PROTOCOL,
    },
}
IMAGENET_PAPER: dict[int, Published] = {
    152: {"error_pct": 21.1, "top5_error_pct": 5.5, "protocol": CROP_320},
    200: {"error_pct": 20.7, "top5_error_pct": 5.3, "protocol": CROP_320},
}


def _cifar(depth: int) -> Entry:
    branch: Branch = "bottleneck" if depth in (164, 1001) else "basic"
    notes = (OPTION_A, FAN_IN) if branch == "basic" else (FAN_IN,)
    return Entry(
        family="preact",
        spec=PreActSpec(
            name=f"preact_resnet{depth}",
            num_classes=10,
            img_size=32,
            stem=STEM,
            stages=cifar_stages(depth, branch),
            branch=branch,
            shortcut="A" if branch == "basic" else "B",
        ),
        source=f"{PAPER}, section 4, tables 2 to 4 and appendix",
        summary="zero padding (A)" if branch == "basic" else "bottleneck (B)",
        paper=CIFAR_PAPER.get(depth, {}),
        deviations=notes if depth in CIFAR_PAPER else (NOT_IN_PAPER, *notes),
    )


def _imagenet(depth: int) -> Entry:
    depths = {**IMAGENET_DEPTHS, 200: (3, 24, 36, 3)}[depth]
    branch: Branch = "basic" if depth < 50 else "bottleneck"
    widths = zip((64, 128, 256, 512), depths, (1, 2, 2, 2), strict=True)
    notes = (LAYOUT, POOL, FAN_IN)
    return Entry(
        family="preact",
        spec=PreActSpec(
            name=f"preact_resnet{depth}",
            stem=IMAGENET_STEM,
            stages=tuple(StageSpec(width=w, depth=d, stride=s) for w, d, s in widths),
            branch=branch,
            shortcut="B",
            stride_on="3x3",
            stem_activation=True,
        ),
        source=f"{PAPER}, section 5 and table 5; fb.resnet.torch, models/preresnet.lua",
        summary="projection (B)" if branch == "basic" else "bottleneck (B)",
        paper=IMAGENET_PAPER.get(depth, {}),
        deviations=notes if depth in IMAGENET_PAPER else (NOT_IN_PAPER, *notes),
    )


ENTRIES: tuple[Entry, ...] = (
    *(_cifar(depth) for depth in (20, 32, 44, 56, 110, 164, 1001)),
    *(_imagenet(depth) for depth in (18, 34, 50, 101, 152, 200)),
)
