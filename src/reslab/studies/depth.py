"""Depth: residual networks gain from more layers, up to a point (Table 6)."""

from __future__ import annotations

from reslab.studies.scales import WhereRun, paper, small, tiny
from reslab.study import Arm, FallsWith, Ordered, Study

PAPER_TEST_PCT = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.61, 1202: 7.93}
NOTES = {
    110: "the paper's mean of five runs; its Table 6 prints the best of them, 6.43",
    1202: "the paper: a training error below 0.1%, and over-fitting",
}


def arms(*depths: int) -> tuple[Arm, ...]:
    """Return a residual network of each depth."""
    return tuple(
        Arm(
            name=f"residual-{depth}",
            group="residual" if depth < 1000 else "residual, over 1000 layers",
            model=f"resnet{depth}",
            x=depth,
            paper={"test_error_pct": PAPER_TEST_PCT[depth]},
            note=NOTES.get(depth, ""),
        )
        for depth in depths
    )


STUDY = Study(
    name="depth",
    title="Depth: how far residual networks gain from more layers",
    question="Does the test error of residual networks fall with depth, and does it end?",
    source="He et al. 2015 (arXiv 1512.03385), section 4.2, Table 6",
    x_label="depth, layers",
    scales={
        "tiny": tiny(arms(20, 32, 44, 56)),
        "small": small(arms(20, 32, 44, 56), steps=500),
        "paper": paper(arms(20, 32, 44, 56, 110, 1202)),
    },
    expectations=(
        FallsWith(sentence="The test error falls with depth up to 110 layers.", group="residual"),
        WhereRun(
            expectation=Ordered(
                sentence="With 1202 layers the test error is higher than with 110.",
                better="residual-110",
                worse="residual-1202",
            ),
            arms=("residual-110", "residual-1202"),
        ),
    ),
)
