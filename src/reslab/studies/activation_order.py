"""Where batch norm and ReLU stand: five orders of a residual unit."""

from __future__ import annotations

from reslab.studies.scales import of_depth, paper, small, tiny
from reslab.study import Arm, Best, Ordered, Study

# Arm, network of 20 layers, network of 164 layers, the paper's errors with 110 and 164 layers.
ORDERS: tuple[tuple[str, str, str, dict[int, float]], ...] = (
    ("original", "resnet20", "resnet164", {110: 6.61, 164: 5.93}),
    ("BN after addition", "resnet20_bn_after_add", "resnet164_bn_after_add",
     {110: 8.17, 164: 6.50}),
    ("ReLU before addition", "resnet20_relu_before_add", "resnet164_relu_before_add",
     {110: 7.84, 164: 6.14}),
    ("ReLU-only pre-activation", "resnet20_relu_preact", "resnet164_relu_preact",
     {110: 6.71, 164: 5.91}),
    ("full pre-activation", "preact_resnet20", "preact_resnet164", {110: 6.37, 164: 5.46}),
)  # fmt: skip


def arms(depth: int) -> tuple[Arm, ...]:
    """Return the five orders with basic blocks; the paper's errors are those of 110 layers."""
    return tuple(
        Arm(
            name=name,
            group=f"{depth} layers",
            model=of_depth(model, depth),
            paper={"test_error_pct": errors[110]},
        )
        for name, model, _, errors in ORDERS
    )


def bottleneck_arms() -> tuple[Arm, ...]:
    """Return the five orders with 164 layers."""
    return tuple(
        Arm(
            name=f"{name}, 164",
            group="164 layers",
            model=model,
            paper={"test_error_pct": errors[164]},
        )
        for name, _, model, errors in ORDERS
    )


SHALLOW = "{} layers in place of 110 and 164: the paper's orders differ more the deeper."
STUDY = Study(
    name="activation-order",
    title="The order of batch norm, ReLU and addition",
    question="Where should batch norm and ReLU stand in a residual unit?",
    source="He et al. 2016 (arXiv 1603.05027), section 4, Table 2",
    scales={
        "tiny": tiny(arms(20), steps=250, differs=(SHALLOW.format(20),)),
        "small": small(arms(32), steps=500, differs=(SHALLOW.format(32),)),
        "paper": paper(
            (*arms(110), *bottleneck_arms()), overrides={"warmup_lr": 0.01, "warmup_steps": 400}
        ),
    },
    expectations=(
        Best(
            sentence="Full pre-activation has the lowest error.",
            better="full pre-activation",
            others=tuple(name for name, *_ in ORDERS[:-1]),
        ),
        Ordered(
            sentence="Batch norm after the addition is worse than the original.",
            better="original",
            worse="BN after addition",
        ),
        Ordered(
            sentence="ReLU before the addition is worse than the original.",
            better="original",
            worse="ReLU before addition",
        ),
    ),
    notes=("The paper's numbers are medians of five runs.",),
)
