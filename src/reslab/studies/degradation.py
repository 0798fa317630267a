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
    source="He et al. 2015 (arXiv 1512.03385), section 4.2 and Figure 6",
    metric="train_error_pct",
    x_label="depth, layers",
    scales={
        "tiny": Scale(
            data="digits",
            arms=arms((20, 32, 44, 56)),
            overrides={"steps": 300, "lr": 0.02, "pad_crop": 1, "flip": False},
            differs=(
                "1,438 images of 8x8 in place of 50,000 of 32x32, and digits in place of objects",
                "300 steps in place of 64,000: deep plain networks are slow as well as worse, and "
                "so short a run cannot tell the two apart",
                "learning rate 0.02 in place of 0.1, shifts of 1 pixel in place of 4, no mirroring",
            ),
        ),
        "small": Scale(
            data="fashion-mnist",
            arms=arms((20, 32, 44)),
            overrides={"steps": 400, "lr": 0.05, "pad_crop": 3},
            differs=(
                "grey images of clothes in place of photographs",
                "400 steps in place of 64,000",
                "learning rate 0.05 in place of 0.1",
            ),
        ),
        "paper": Scale(data="cifar10", arms=arms((20, 32, 44, 56, 110))),
    },
    expectations=(
        RisesWith(sentence="The plain network's training error rises with depth.", group="plain"),
        DoesNotRise(
            sentence="The residual network's training error does not rise with depth.",
            group="residual",
        ),
        RisesWith(
            sentence="The plain network's test error rises with depth.",
            group="plain",
            metric="test_error_pct",
        ),
        Ordered(
            sentence="At 44 layers the residual network has the lower training error.",
            better="residual-44",
            worse="plain-44",
        ),
    ),
    notes=(
        "The paper draws the errors of plain networks and gives no numbers; that of plain-110 is "
        "above 60% and not drawn.",
    ),
)
