"""Warm-up: does ResNet-110 need a small learning rate to begin with?"""

from __future__ import annotations

from reslab.studies.scales import Alike, paper, small, tiny
from reslab.study import Arm, Fails, Study


def arms(model: str, fixed_steps: int) -> tuple[Arm, ...]:
    """Return three beginnings of the same training.

    Args:
        model: the network.
        fixed_steps: length of the warm-up that does not look at the error.
    """
    return (
        Arm(
            name="rate 0.1 at once",
            group="warm-up",
            model=model,
            overrides={"warmup_lr": 0.0, "warmup_until_error_pct": 0.0},
        ),
        Arm(
            name="0.01 until the error is below 80%",
            group="warm-up",
            model=model,
            overrides={"warmup_lr": 0.01, "warmup_until_error_pct": 80.0},
            paper={"test_error_pct": 6.61},
            note="as in 2015",
        ),
        Arm(
            name="0.01 for a fixed time",
            group="warm-up",
            model=model,
            overrides={
                "warmup_lr": 0.01,
                "warmup_steps": fixed_steps,
                "warmup_until_error_pct": 0.0,
            },
            note=f"as in 2016, where it lasts 400 updates: here {fixed_steps}",
        ),
    )


STUDY = Study(
    name="warmup",
    title="Warm-up for 110 layers",
    question="Does a network of 110 layers need a warm-up to reach the same error?",
    source="He et al. 2015 (arXiv 1512.03385), section 4.2 and its footnote",
    scales={
        "tiny": tiny(arms("resnet110", 20), steps=150, overrides={"lr": 0.1}),
        "small": small(arms("resnet110", 40), steps=240, overrides={"lr": 0.1}),
        "paper": paper(arms("resnet110", 400)),
    },
    expectations=(
        Alike(
            sentence="Without a warm-up the network reaches a similar error in the end.",
            first="0.01 until the error is below 80%",
            second="rate 0.1 at once",
        ),
        Fails(sentence="Without a warm-up it does not train at all.", arm="rate 0.1 at once"),
    ),
    notes=(
        "The footnote: at 0.1 from the start it begins converging only after several epochs. A "
        "short schedule may end before that; then the first expectation fails here for want of "
        "time. The second is what the footnote denies.",
    ),
)
