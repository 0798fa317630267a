"""Highway against residual networks: does a gate on the shortcut help?"""

from __future__ import annotations

from reslab.studies.scales import WITHOUT_NORM, WhereRun, paper, small, tiny
from reslab.studies.unnormalised import KINDS, network
from reslab.study import Arm, Ordered, Study

GATED = "highway layers have twice the parameters: a convolution for the gate beside each"
# The authors' Caffe solver (arXiv 1507.06228).
HIGHWAY_RECIPE = {
    "steps": 200_000, "batch_size": 100, "lr": 0.025, "nesterov": True, "weight_decay": 1e-3,
    "milestones": (0.5, 0.75, 0.875),
}  # fmt: skip
OWN = (
    "Plain, residual and highway networks of one width without batch norm, as highway networks "
    "are, trained with AdamW; the papers compare networks of different form and recipe."
)


def arms(width: int, *layers: int) -> tuple[Arm, ...]:
    """Return the three kinds of each depth, without batch norm."""
    return tuple(
        Arm(
            name=f"{kind}-{depth}",
            group=kind,
            model=network(kind, depth, width),
            x=depth,
            note=GATED if kind == "highway" else "",
        )
        for kind in KINDS
        for depth in layers
    )


def paper_arms() -> tuple[Arm, ...]:
    """Return the networks that the residual paper's Table 6 compares."""
    errors = {"test_error_pct": 7.72}
    return (
        Arm(
            name="highway-19", group="highway", model="highway19", x=19, paper=errors,
            overrides=HIGHWAY_RECIPE, note="2.3 million parameters; mean of five runs",
        ),
        *(
            Arm(name=f"residual-{d}", group="residual", model=f"resnet{d}", x=d,
                paper={"test_error_pct": error})
            for d, error in ((20, 8.75), (32, 7.51), (110, 6.61))
        ),
    )  # fmt: skip


STUDY = Study(
    name="highway-vs-residual",
    title="Highway against residual networks",
    question="Is an identity shortcut as good as one with a learned gate?",
    source="He et al. 2015 (arXiv 1512.03385), Table 6; Srivastava et al. 2015 (1507.06228)",
    x_label="depth, layers",
    scales={
        "tiny": tiny(arms(16, 13, 31), steps=250, overrides=WITHOUT_NORM, differs=(OWN,)),
        "small": small(arms(16, 13, 31), steps=600, overrides=WITHOUT_NORM, differs=(OWN,)),
        "paper": paper(paper_arms()),
    },
    expectations=(
        WhereRun(
            expectation=Ordered(
                sentence="At 31 layers the residual network has a lower error than the plain.",
                better="residual-31",
                worse="plain-31",
            ),
            arms=("residual-31", "plain-31"),
        ),
        WhereRun(
            expectation=Ordered(
                sentence="At 31 layers the residual network has a lower error than the highway.",
                better="residual-31",
                worse="highway-31",
            ),
            arms=("residual-31", "highway-31"),
        ),
        WhereRun(
            expectation=Ordered(
                sentence="ResNet-32 with a fifth of the parameters beats Highway-19.",
                better="residual-32",
                worse="highway-19",
            ),
            arms=("residual-32", "highway-19"),
        ),
    ),
)
