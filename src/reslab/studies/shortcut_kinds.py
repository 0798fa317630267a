"""Kinds of shortcuts: scaled, gated, convolved and dropped ones against the identity."""

from __future__ import annotations

import dataclasses

from reslab.networks import NetworkSpec, entry
from reslab.networks.identity import ShortcutKindSpec
from reslab.studies.scales import paper, small, tiny
from reslab.study import Arm, Best, Fails, Study

FAILS = "the paper: fails (an error above 20%)"
# Arm, network without its depth, bias of the gate where it is not the network's, paper's error.
KINDS: tuple[tuple[str, str, float | None, float | None], ...] = (
    ("identity", "resnet{}", None, 6.61),
    ("none", "plain{}", None, None),
    ("0.5 x + F", "resnet{}_scaled", None, None),
    ("0.5 x + 0.5 F", "resnet{}_halved", None, 12.35),
    ("exclusive gate, bias -6", "resnet{}_exclusive_gate", None, 8.70),
    ("exclusive gate, bias -7", "resnet{}_exclusive_gate", -7.0, 9.81),
    ("shortcut gate, bias 0", "resnet{}_shortcut_gate_b0", None, 12.86),
    ("shortcut gate, bias -6", "resnet{}_shortcut_gate", None, 6.91),
    ("1x1 convolution", "resnet{}_conv_shortcut", None, 12.22),
    ("dropout 0.5", "resnet{}_dropout_shortcut", None, None),
)


def arms(depth: int) -> tuple[Arm, ...]:
    """Return all rows of the table at some depth."""
    return tuple(
        Arm(
            name=name,
            group=name,
            model=_model(pattern.format(depth), bias),
            paper={} if error is None else {"test_error_pct": error},
            note=FAILS if error is None else "",
        )
        for name, pattern, bias, error in KINDS
    )


def _model(name: str, bias: float | None) -> str | NetworkSpec:
    if bias is None:
        return name
    spec = entry(name).spec
    assert isinstance(spec, ShortcutKindSpec)
    return dataclasses.replace(spec, name=f"{name}_b{bias:g}", gate_bias=bias)


SHALLOW = (
    "20 layers in place of 110: what only hurts over many shortcuts in a row may not show here."
)
STUDY = Study(
    name="shortcut-kinds",
    title="Kinds of shortcuts: nothing beats the identity",
    question="Is any scaled, gated, convolved or dropped shortcut as good as the identity?",
    source="He et al. 2016 (arXiv 1603.05027), section 3, Table 1",
    scales={
        "tiny": tiny(arms(20), steps=150, differs=(SHALLOW,)),
        "small": small(arms(20), steps=350, differs=(SHALLOW,)),
        "paper": paper(arms(110), overrides={"warmup_lr": 0.01, "warmup_steps": 400}),
    },
    expectations=(
        Best(
            sentence="The identity has a lower error than every other shortcut.",
            better="identity",
            others=tuple(name for name, *_ in KINDS[1:]),
        ),
        *(
            Fails(
                sentence=f"With {name} on the shortcut it fails.",
                arm=arm,
                above_pct=20.0,
                beside="identity",
            )
            for arm, name in (("0.5 x + F", "a factor of 0.5"), ("dropout 0.5", "dropout"))
        ),
    ),
    notes=("The paper's numbers are medians of five runs with 110 layers.",),
)
