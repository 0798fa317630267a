"""The CIFAR networks of He et al. 2015 (arXiv 1512.03385), section 4.2: 6n + 2 layers."""

from __future__ import annotations

from reslab.catalog.entry import Entry, Published
from reslab.spec import ResNetSpec, ShortcutOption, StageSpec, StemSpec

SOURCE = "He et al. 2015, Deep Residual Learning for Image Recognition, section 4.2"
DEPTHS = (20, 32, 44, 56, 110, 1202)
PROTOCOL = "CIFAR-10 test, single view"
RESNET_PAPER: dict[int, Published] = {
    20: {"params": 0.27e6, "error_pct": 8.75, "protocol": PROTOCOL},
    32: {"params": 0.46e6, "error_pct": 7.51, "protocol": PROTOCOL},
    44: {"params": 0.66e6, "error_pct": 7.17, "protocol": PROTOCOL},
    56: {"params": 0.85e6, "error_pct": 6.97, "protocol": PROTOCOL},
    110: {
        "params": 1.7e6,
        "error_pct": 6.43,
        "error_mean_pct": 6.61,
        "error_std_pct": 0.16,
        "runs": 5,
        "protocol": f"{PROTOCOL}, best of 5 runs",
    },
    1202: {"params": 19.4e6, "error_pct": 7.93, "protocol": PROTOCOL},
}
NOT_IN_PAPER = "not trained in the paper: the plain counterpart of resnet1202"
OPTION_B = "shortcut option B; the paper's CIFAR networks use option A"


def _entry(
    name: str,
    depth: int,
    shortcut: ShortcutOption,
    summary: str,
    *,
    paper: Published | None = None,
    deviations: tuple[str, ...] = (),
) -> Entry:
    blocks = (depth - 2) // 6
    spec = ResNetSpec(
        name=name,
        num_classes=10,
        img_size=32,
        stem=StemSpec(width=16, kernel=3, stride=1, max_pool=False),
        stages=tuple(
            StageSpec(width=width, depth=blocks, stride=stride)
            for width, stride in ((16, 1), (32, 2), (64, 2))
        ),
        shortcut=shortcut,
    )
    return Entry(
        family="plain" if shortcut == "none" else "resnet",
        spec=spec,
        source=SOURCE,
        summary=summary,
        paper=paper or {},
        deviations=deviations,
    )


ENTRIES: tuple[Entry, ...] = (
    *(
        _entry(
            f"plain{depth}",
            depth,
            "none",
            "no shortcuts",
            deviations=(NOT_IN_PAPER,) if depth == 1202 else (),
        )
        for depth in DEPTHS
    ),
    *(
        _entry(
            f"resnet{depth}",
            depth,
            "A",
            "zero padding (A)",
            paper=RESNET_PAPER[depth],
        )
        for depth in DEPTHS
    ),
    *(
        _entry(
            f"resnet{depth}_b",
            depth,
            "B",
            "projection (B)",
            deviations=(OPTION_B,),
        )
        for depth in DEPTHS
    ),
)
