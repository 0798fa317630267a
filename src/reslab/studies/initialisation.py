"""Initialisation: residual branches that begin at zero against He's normal weights."""

from __future__ import annotations

from reslab.studies.scales import paper, small, tiny
from reslab.study import Arm, DoesNotRise, Ordered, Study

PAPER_TEST_PCT = {20: 8.75, 56: 6.97, 110: 6.61}


def arms(*depths: int) -> tuple[Arm, ...]:
    """Return residual networks of each depth with both beginnings."""
    return tuple(
        Arm(
            name=f"{name}-{depth}",
            group=name,
            model=f"resnet{depth}",
            x=depth,
            overrides={
                "zero_last_scale": name == "zero",
                "warmup_lr": 0.0,
                "warmup_until_error_pct": 0.0,
            },
            paper={"test_error_pct": PAPER_TEST_PCT[depth]} if name == "He" else {},
        )
        for name in ("He", "zero")
        for depth in depths
    )


WARM_UP = "No warm-up at any depth, so that the beginning alone differs."
STUDY = Study(
    name="initialisation",
    title="Initialisation: He’s weights, and branches that begin at zero",
    question="Does it help when every residual block begins as the identity?",
    source="He et al. 2015 (arXiv 1502.01852), equation 10; Goyal et al. 2017 (arXiv 1706.02677), "
    "section 5.1",
    x_label="depth, layers",
    scales={
        "tiny": tiny(arms(20, 56, 110), steps=120, differs=(WARM_UP,)),
        "small": small(arms(20, 56, 110), steps=220, differs=(WARM_UP,)),
        "paper": paper(arms(20, 56, 110), differs=(WARM_UP,)),
    },
    expectations=(
        Ordered(
            sentence="With 110 layers, branches that begin at zero end with a lower error.",
            better="zero-110",
            worse="He-110",
        ),
        DoesNotRise(
            sentence="With branches that begin at zero the error does not rise with depth.",
            group="zero",
        ),
    ),
    notes=(
        "Neither residual paper begins so; Goyal et al. report a gain of 0.2 to 0.3 points on "
        "ImageNet with large batches.",
    ),
)
