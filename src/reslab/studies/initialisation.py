"""Initialisation: which law the weights are drawn from, and branches that begin at zero."""

from __future__ import annotations

from reslab.studies.scales import paper, small, tiny
from reslab.studies.unnormalised import network
from reslab.study import Arm, DoesNotRise, Ordered, Study

PAPER_TEST_PCT = {20: 8.75, 56: 6.97, 110: 6.61}
LAWS = {"he": "He", "glorot": "Glorot", "gaussian": "N(0, 0.01²)"}
# Without batch norm a rate of 0.1 ends in NaN.
SGD_WITHOUT_NORM = {"lr": 0.05, "clip_grad_norm": 1.0}


def zero_arms(*depths: int) -> tuple[Arm, ...]:
    """Return residual networks of each depth with both beginnings of their branches."""
    return tuple(
        Arm(
            name=f"{name}-{depth}",
            group=name,
            model=f"resnet{depth}",
            x=depth,
            overrides={
                "zero_init_residual": name == "zero",
                "warmup_lr": 0.0,
                "warmup_until_error_pct": 0.0,
            },
            paper={"test_error_pct": PAPER_TEST_PCT[depth]} if name == "He" else {},
        )
        for name in ("He", "zero")
        for depth in depths
    )


def law_arms(width: int, *depths: int) -> tuple[Arm, ...]:
    """Return plain networks without batch norm, by depth, for each law of the weights."""
    return tuple(
        Arm(
            name=f"{name}, no norm-{depth}",
            group=f"{name}, no norm",
            model=network("plain", depth, width),
            x=depth,
            overrides={**SGD_WITHOUT_NORM, "initial_weights": law},
            note="plain, without batch norm",
        )
        for law, name in LAWS.items()
        for depth in depths
    )


WARM_UP = "No warm-up at any depth, so that the beginning alone differs."
LAW = (
    "The laws are compared on plain networks without batch norm of our own, for batch norm takes "
    "the scale of the weights away; the paper's have 22 and 30 layers and see ImageNet. In so few "
    "updates 31 layers of ours learn nothing from any law."
)
STUDY = Study(
    name="initialisation",
    title="Initialisation: the law of the weights, and branches that begin at zero",
    question="Does it matter which law the weights are drawn from, and that blocks begin as the "
    "identity?",
    source="He et al. 2015 (arXiv 1502.01852), section 2.2, figures 2 and 3; Goyal et al. 2017 "
    "(arXiv 1706.02677), section 5.1",
    x_label="depth, layers",
    scales={
        "tiny": tiny(
            (*zero_arms(20, 56, 110), *law_arms(16, 7, 13)), steps=120, differs=(WARM_UP, LAW)
        ),
        "small": small(
            (*zero_arms(20, 56, 110), *law_arms(16, 7, 13)), steps=220, differs=(WARM_UP, LAW)
        ),
        "paper": paper((*zero_arms(20, 56, 110), *law_arms(64, 13, 31)), differs=(WARM_UP, LAW)),
    },
    expectations=(
        Ordered(
            sentence="13 layers without batch norm train from He's weights better than from "
            "Glorot's.",
            better="He, no norm-13",
            worse="Glorot, no norm-13",
            metric="train_error_pct",
        ),
        Ordered(
            sentence="They train better than from a Gaussian of one width for all layers.",
            better="He, no norm-13",
            worse="N(0, 0.01²), no norm-13",
            metric="train_error_pct",
        ),
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
        "The paper's 30 layers learn nothing from Glorot's weights; its 22 layers do, later.",
        "Neither residual paper begins with branches at zero; Goyal et al. report a gain of 0.2 "
        "to 0.3 points on ImageNet with large batches.",
    ),
)
