"""Augmentation: what random crops and mirroring do to training and test error."""

from __future__ import annotations

from typing import Any

from reslab.studies.scales import paper, small, tiny
from reslab.study import Arm, Ordered, Study

PAPER_TEST_PCT = 8.75


def arms(crop: int, extra: dict[str, dict[str, Any]] | None = None) -> tuple[Arm, ...]:
    """Return ResNet-20 with different views of its training images.

    Args:
        crop: zero padding before a random crop, pixels.
        extra: more arms: name -> augmentation.
    """
    views: dict[str, dict[str, Any]] = {
        "none": {"pad_crop": 0, "flip": False},
        "crops": {"pad_crop": crop, "flip": False},
        "mirroring": {"pad_crop": 0, "flip": True},
        "crops and mirroring": {"pad_crop": crop, "flip": True},
        **(extra or {}),
    }
    return tuple(
        Arm(
            name=name,
            group=name,
            model="resnet20",
            overrides=overrides,
            paper={"test_error_pct": PAPER_TEST_PCT} if name == "crops and mirroring" else {},
        )
        for name, overrides in views.items()
    )


EXTRA = {"crops, mirroring, erasing": {"pad_crop": 2, "flip": True, "random_erasing": 0.25}}
STUDY = Study(
    name="augmentation",
    title="Augmentation: random crops and mirroring",
    question="How much do random views of the training images lower the test error?",
    source="He et al. 2015 (arXiv 1512.03385), section 4.2: pads 4 pixels, crops, mirrors",
    scales={
        "tiny": tiny(arms(1), steps=300),
        "small": small(arms(2, EXTRA), steps=800),
        "paper": paper(arms(4)),
    },
    expectations=(
        Ordered(
            sentence="Random crops lower the test error.",
            better="crops",
            worse="none",
        ),
        Ordered(
            sentence="Augmentation raises the training error.",
            better="none",
            worse="crops and mirroring",
            metric="train_error_pct",
            smallest=0.1,
        ),
    ),
    notes=(
        "Mirrored digits are other signs: at the scale “tiny” mirroring is there to do harm.",
        "The paper reports no numbers without augmentation for these networks.",
    ),
)
