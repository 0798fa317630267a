"""Shortcut options A, B and C where dimensions change (Table 3)."""

from __future__ import annotations

import dataclasses

from reslab.networks import entry
from reslab.networks.resnet import ResNetSpec
from reslab.studies.scales import small, tiny
from reslab.study import Arm, Ordered, Scale, Study

PAPER_TEST_PCT = {"plain": 28.54, "A": 25.03, "B": 24.52, "C": 24.19}
NOTE = "the paper's: ImageNet, 34 layers, ten crops"


def cifar_arms(depth: int) -> tuple[Arm, ...]:
    """Return the plain network and the three options, 6n + 2 layers."""
    projected = entry(f"resnet{depth}_b").spec
    assert isinstance(projected, ResNetSpec)
    everywhere = dataclasses.replace(projected, name=f"resnet{depth}_c", shortcut="C")
    return tuple(
        Arm(
            name=name,
            group=name,
            model=model,
            paper={"test_error_pct": PAPER_TEST_PCT[name]},
            note=NOTE,
        )
        for name, model in (
            ("plain", f"plain{depth}"),
            ("A", f"resnet{depth}"),
            ("B", f"resnet{depth}_b"),
            ("C", everywhere),
        )
    )


def imagenet_arms() -> tuple[Arm, ...]:
    """Return the paper's own four networks."""
    models = {"plain": "plain34", "A": "resnet34_a", "B": "resnet34", "C": "resnet34_c"}
    return tuple(
        Arm(name=n, group=n, model=model, paper={"test_error_pct": PAPER_TEST_PCT[n]})
        for n, model in models.items()
    )


ELSEWHERE = "The paper compares the options on ImageNet with 34 layers; these are CIFAR networks."
STUDY = Study(
    name="shortcut-options",
    title="Shortcut options: zero padding, projections, projections everywhere",
    question="Does it matter how a shortcut changes its dimensions?",
    source="He et al. 2015 (arXiv 1512.03385), section 4.1, Table 3",
    scales={
        "tiny": tiny(cifar_arms(20), steps=300, differs=(ELSEWHERE,)),
        "small": small(cifar_arms(32), steps=600, differs=(ELSEWHERE,)),
        "paper": Scale(
            data="imagenet",
            arms=imagenet_arms(),
            recipe="he2015-imagenet",
            seeds=1,
            differs=(
                "Name the folder of ImageNet with --data.",
                "One centre crop in place of ten crops.",
                "One seed, as in the paper: no intervals.",
            ),
        ),
    },
    expectations=(
        Ordered(
            sentence="All options are better than the plain network, even A.",
            better="A",
            worse="plain",
        ),
        Ordered(sentence="B is slightly better than A.", better="B", worse="A"),
        Ordered(sentence="C is marginally better than B.", better="C", worse="B"),
    ),
    notes=(
        "The paper concludes that the small differences among A, B and C show that projections "
        "are not essential.",
    ),
)
