"""Pre-activation lets far deeper networks train: 110, 164 and 1001 layers."""

from __future__ import annotations

from reslab.studies.scales import WhereRun, paper, small, tiny
from reslab.study import Arm, DoesNotRise, Ordered, Study

PAPER_TEST_PCT = {
    ("original", 110): 6.61, ("pre-activation", 110): 6.37,
    ("original", 164): 5.93, ("pre-activation", 164): 5.46,
    ("original", 1001): 7.61, ("pre-activation", 1001): 4.92,
}  # fmt: skip


def arms(*depths: int) -> tuple[Arm, ...]:
    """Return the original and the pre-activation network of each depth."""
    return tuple(
        Arm(
            name=f"{kind}-{depth}",
            group=kind,
            model=f"{prefix}{depth}",
            x=depth,
            paper={"test_error_pct": PAPER_TEST_PCT[kind, depth]}
            if (kind, depth) in PAPER_TEST_PCT
            else {},
        )
        for kind, prefix in (("original", "resnet"), ("pre-activation", "preact_resnet"))
        for depth in depths
    )


STUDY = Study(
    name="preactivation-depth",
    title="Pre-activation against the original unit by depth",
    question="Does pre-activation make very deep networks easier to train?",
    source="He et al. 2016 (arXiv 1603.05027), section 4, Table 3",
    x_label="depth, layers",
    scales={
        "tiny": tiny(arms(20, 56, 110), steps=120),
        "small": small(arms(20, 56, 110), steps=220),
        "paper": paper(arms(110, 164, 1001), overrides={"warmup_lr": 0.01, "warmup_steps": 400}),
    },
    expectations=(
        DoesNotRise(
            sentence="With pre-activation the test error does not rise with depth.",
            group="pre-activation",
        ),
        Ordered(
            sentence="At 110 layers pre-activation has the lower test error.",
            better="pre-activation-110",
            worse="original-110",
        ),
        WhereRun(
            expectation=Ordered(
                sentence="At 1001 layers pre-activation has the lower test error.",
                better="pre-activation-1001",
                worse="original-1001",
            ),
            arms=("pre-activation-1001", "original-1001"),
        ),
    ),
    notes=(
        "With 20 to 110 layers the units are basic blocks, with 164 and 1001 layers bottlenecks.",
        "The paper's numbers are medians of five runs.",
    ),
)
