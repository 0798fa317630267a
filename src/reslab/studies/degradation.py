"""Degradation: plain networks get worse with depth even on the training images (Figure 6)."""

from __future__ import annotations

from reslab.studies.scales import paper, small, tiny
from reslab.study import Arm, DoesNotRise, Ordered, RisesWith, Study

PAPER_TEST_PCT = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.61}
SLOW = (
    "Deep plain networks are slow to learn as well as worse in the end; so short a run does not "
    "tell the two apart."
)
RATE = "Learning rate {} in place of 0.1."


def arms(*depths: int) -> tuple[Arm, ...]:
    """Return a plain and a residual network of each depth."""
    return tuple(
        Arm(
            name=f"{kind}-{depth}",
            group=kind,
            model=f"{'plain' if kind == 'plain' else 'resnet'}{depth}",
            x=depth,
            paper={"test_error_pct": PAPER_TEST_PCT[depth]} if kind == "residual" else {},
        )
        for kind in ("plain", "residual")
        for depth in depths
    )


STUDY = Study(
    name="degradation",
    title="Degradation: plain against residual networks by depth",
    question="Does the training error rise with depth in plain networks, and not in residual ones?",
    source="He et al. 2015 (arXiv 1512.03385), section 4.2 and Figure 6",
    metric="train_error_pct",
    x_label="depth, layers",
    scales={
        "tiny": tiny(arms(20, 32, 56), steps=300, seeds=5, differs=(SLOW, RATE.format(0.02))),
        "small": small(arms(20, 32, 56), steps=500, differs=(SLOW, RATE.format(0.05))),
        "paper": paper(arms(20, 32, 44, 56, 110)),
    },
    expectations=(
        RisesWith(sentence="The plain network's training error rises with depth.", group="plain"),
        DoesNotRise(
            sentence="The residual network's training error does not rise with depth by a "
            "percentage point or more.",
            group="residual",
            smallest=1.0,
        ),
        RisesWith(
            sentence="The plain network's test error rises with depth.",
            group="plain",
            metric="test_error_pct",
        ),
        Ordered(
            sentence="At 56 layers the residual network has the lower training error.",
            better="residual-56",
            worse="plain-56",
        ),
    ),
    notes=(
        "The paper draws the errors of plain networks and gives no numbers; that of plain-110 is "
        "above 60% and not drawn.",
    ),
)
