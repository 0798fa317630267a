"""Degradation: plain networks get worse with depth even on the training images (Fig. 6)."""

from __future__ import annotations

from reslab.study import Arm, DoesNotRise, Ordered, RisesWith, Scale, Study

PAPER_TEST_PCT = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43}


def arms(depths: tuple[int, ...]) -> tuple[Arm, ...]:
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
    source="He et al. 2015 (arXiv 1512.03385), section 4.2, Figure 6",
    metric="train_error_pct",
    x_label="depth, layers",
    scales={
        "tiny": Scale(
            data="digits", arms=arms((20, 56, 110)), overrides={"steps": 200, "flip": False}
        ),
        "paper": Scale(data="cifar10", arms=arms((20, 32, 44, 56, 110))),
    },
    expectations=(
        RisesWith(sentence="The plain network's training error rises with depth.", group="plain"),
        DoesNotRise(
            sentence="The residual network's training error does not rise with depth.",
            group="residual",
        ),
        Ordered(
            sentence="At 56 layers the residual network has the lower training error.",
            better="residual-56",
            worse="plain-56",
        ),
    ),
)
