"""Construction: a deep network made from a trained shallow one, against one from scratch."""

from __future__ import annotations

from reslab.studies.scales import SMALL_RATE, TINY_RATE, paper, small, tiny
from reslab.study import After, Arm, Ordered, Study

# Multiply-adds of 20 against 56 layers at 32 pixels; at other sizes the ratio is the same.
SHALLOW_SHARE = 40_551_040 / 125_485_696


def arms(shallow_steps: int, more_steps: int, rate: float) -> tuple[Arm, ...]:
    """Return 20 layers, 56 made from them, and 56 from scratch with the same multiply-adds.

    Args:
        shallow_steps: updates of the 20 layers.
        more_steps: updates of the 56 layers that are made from them.
        rate: learning rate from scratch; the deepened networks go on at a fifth of it.
    """
    scratch = more_steps + round(shallow_steps * SHALLOW_SHARE)
    return tuple(
        arm
        for kind, prefix in (("plain", "plain"), ("residual", "resnet"))
        for arm in _arms(kind, prefix, shallow_steps, more_steps, scratch, rate)
    )


def _arms(
    kind: str, prefix: str, shallow: int, more: int, scratch: int, rate: float
) -> tuple[Arm, ...]:
    first = f"{kind}-20"
    return (
        Arm(name=first, group=kind, model=f"{prefix}20", overrides={"steps": shallow}),
        Arm(
            name=f"{kind}-56 deepened",
            group=kind,
            model=f"{prefix}56",
            after=After(first, "deepen"),
            overrides={"steps": more, "lr": rate / 5},
            note=f"starts from {first}, with exactly the same function",
        ),
        Arm(
            name=f"{kind}-56 from scratch",
            group=kind,
            model=f"{prefix}56",
            overrides={"steps": scratch},
            note="as many multiply-adds as the shallow network and the deepened one together",
        ),
    )


OWN = "The paper argues with this solution and does not train it; all numbers of updates are ours."
STUDY = Study(
    name="construction",
    title="Construction: deepen a trained network, or train the deep one from scratch",
    question="Is the deep solution that exists by construction also one that training finds?",
    source="He et al. 2015 (arXiv 1512.03385), section 1; Chen et al. 2016 (1511.05641)",
    metric="train_error_pct",
    scales={
        "tiny": tiny(arms(200, 150, TINY_RATE), differs=(OWN,)),
        "small": small(arms(300, 200, SMALL_RATE), steps=300, differs=(OWN,)),
        "paper": paper(arms(64_000, 32_000, 0.1), seeds=3, differs=(OWN,)),
    },
    expectations=(
        Ordered(
            sentence="From scratch, 56 plain layers train worse than 20: the degradation.",
            better="plain-20",
            worse="plain-56 from scratch",
        ),
        Ordered(
            sentence="Made from 20 plain layers, 56 train better than from scratch.",
            better="plain-56 deepened",
            worse="plain-56 from scratch",
        ),
        Ordered(
            sentence="Made from 20 plain layers, 56 train better than the 20 they began as.",
            better="plain-56 deepened",
            worse="plain-20",
        ),
    ),
    notes=(
        "A residual network has the solution at hand from the start: its new blocks need only "
        "stay near zero.",
    ),
)
