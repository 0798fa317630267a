"""Kinds of shortcuts and orders of layers (He et al. 2016, arXiv 1603.05027), tables 1 and 2.

Of table 1, the shortcut scaled by 0 is `plain110`; the rows for other biases of the gates are
`replace(spec, gate_bias=...)`. Of table 2, (a) is `resnet110` and `resnet164`, (e) is
`preact_resnet110` and `preact_resnet164`.
"""

from __future__ import annotations

from typing import Any

from reslab.catalog.entry import Entry, Published
from reslab.catalog.imagenet import POOL
from reslab.catalog.imagenet import STEM as IMAGENET_STEM
from reslab.spec import Branch, ResNetSpec, StageSpec, StemSpec
from reslab.spec.identity import ActivationOrder, ActivationOrderSpec, ShortcutKindSpec

PAPER = "He et al. 2016, Identity Mappings in Deep Residual Networks"
PROTOCOL = "CIFAR-10 test, single view, median of 5 runs"
STEM = StemSpec(width=16, kernel=3, stride=1, max_pool=False)
FAILS = "the paper reports that it fails (an error above 20%); it is here to show that"
QUICK = "20 layers, for quick studies; the paper trains 110"
QUICK_ORDER = "20 layers, for quick studies; the paper trains 110 and 164"
GATE_WHERE_DIMENSIONS_CHANGE = (
    "the paper does not say how a gate fits where dimensions change: here its convolution has "
    "the block's stride and new width, and it multiplies the zero-padded input"
)
PADDED_TOO = (
    "the paper does not say what happens where dimensions change: here the zero-padded input is "
    "treated as every other shortcut"
)
NORM_ON_PROJECTION = (
    "the paper does not say whether a batch norm follows each 1x1 convolution: here one does "
    "(shortcut option C of 2015)"
)
ORDER_WHERE_DIMENSIONS_CHANGE = {
    20: "the paper does not say what happens where dimensions change: here option A as in 2015",
    110: "the paper does not say what happens where dimensions change: here option A as in 2015",
    164: (
        "the paper does not say what happens where dimensions change: here the projections keep "
        "the batch norm that they have in the original"
    ),
}

# Name, what the column of `list` says, the values of the specification, the paper's error at 110
# layers (None where it fails), and what the paper leaves open.
SHORTCUTS: tuple[tuple[str, str, dict[str, Any], float | None, str], ...] = (
    (
        "scaled",
        "0.5 x + F",
        {"unit": "scaled", "shortcut_scale": 0.5, "branch_scale": 1.0},
        None,
        PADDED_TOO,
    ),
    (
        "halved",
        "0.5 x + 0.5 F",
        {"unit": "scaled", "shortcut_scale": 0.5, "branch_scale": 0.5},
        12.35,
        PADDED_TOO,
    ),
    (
        "exclusive_gate",
        "(1-g) x + g F",
        {"unit": "exclusive_gate", "gate_bias": -6.0},
        8.70,
        GATE_WHERE_DIMENSIONS_CHANGE,
    ),
    (
        "shortcut_gate",
        "(1-g) x + F",
        {"unit": "shortcut_gate", "gate_bias": -6.0},
        6.91,
        GATE_WHERE_DIMENSIONS_CHANGE,
    ),
    (
        "shortcut_gate_b0",
        "(1-g) x + F, b=0",
        {"unit": "shortcut_gate", "gate_bias": 0.0},
        12.86,
        GATE_WHERE_DIMENSIONS_CHANGE,
    ),
    (
        "dropout_shortcut",
        "dropout(x) + F",
        {"unit": "dropout", "shortcut_dropout": 0.5},
        None,
        PADDED_TOO,
    ),
)

# Name, order, what the column says, the paper's errors.
ORDERS: tuple[tuple[str, ActivationOrder, str, dict[int, float]], ...] = (
    ("bn_after_add", "bn_after_addition", "BN after addition", {110: 8.17, 164: 6.50}),
    ("relu_before_add", "relu_before_addition", "ReLU before add", {110: 7.84, 164: 6.14}),
    ("relu_preact", "relu_preactivation", "ReLU-only pre-act", {110: 6.71, 164: 5.91}),
)


def cifar_stages(depth: int, branch: Branch = "basic") -> tuple[StageSpec, ...]:
    """Divide a CIFAR network's layers among three stages: 6n + 2 basic, 9n + 2 bottleneck."""
    per_block = 6 if branch == "basic" else 9
    assert (depth - 2) % per_block == 0
    blocks = (depth - 2) // per_block
    return tuple(
        StageSpec(width=width, depth=blocks, stride=stride)
        for width, stride in ((16, 1), (32, 2), (64, 2))
    )


def _published(error: float | None) -> Published:
    return {} if error is None else {"error_pct": error, "protocol": PROTOCOL}


def _shortcut_kind(
    depth: int, suffix: str, summary: str, values: dict[str, Any], error: float | None, note: str
) -> Entry:
    of_the_paper = depth == 110
    notes = [note]
    if error is None:
        notes.insert(0, FAILS)
    if not of_the_paper:
        notes.insert(0, QUICK)
    return Entry(
        family="variant",
        spec=ShortcutKindSpec(
            name=f"resnet{depth}_{suffix}",
            num_classes=10,
            img_size=32,
            stem=STEM,
            stages=cifar_stages(depth),
            shortcut="A",
            **values,
        ),
        source=f"{PAPER}, section 3 and table 1",
        summary=summary,
        paper=_published(error if of_the_paper else None),
        deviations=tuple(notes),
    )


def _conv_shortcut(depth: int) -> Entry:
    """Describe the table's 1x1 convolution on every shortcut, which is option C of 2015."""
    of_the_paper = depth == 110
    return Entry(
        family="variant",
        spec=ResNetSpec(
            name=f"resnet{depth}_conv_shortcut",
            num_classes=10,
            img_size=32,
            stem=STEM,
            stages=cifar_stages(depth),
            shortcut="C",
        ),
        source=f"{PAPER}, section 3 and table 1",
        summary="1x1 on shortcuts",
        paper=_published(12.22 if of_the_paper else None),
        deviations=(NORM_ON_PROJECTION,) if of_the_paper else (QUICK, NORM_ON_PROJECTION),
    )


def _order(
    depth: int, suffix: str, order: ActivationOrder, summary: str, errors: dict[int, float]
) -> Entry:
    branch: Branch = "bottleneck" if depth == 164 else "basic"
    notes = (ORDER_WHERE_DIMENSIONS_CHANGE[depth],)
    return Entry(
        family="variant",
        spec=ActivationOrderSpec(
            name=f"resnet{depth}_{suffix}",
            num_classes=10,
            img_size=32,
            stem=STEM,
            stages=cifar_stages(depth, branch),
            branch=branch,
            shortcut="A" if branch == "basic" else "B",
            order=order,
        ),
        source=f"{PAPER}, section 4 and table 2",
        summary=summary,
        paper=_published(errors.get(depth)),
        deviations=notes if depth in errors else (QUICK_ORDER, *notes),
    )


def _original(depth: int, paper: Published) -> Entry:
    """Describe a bottleneck network for CIFAR of the original units."""
    return Entry(
        family="resnet",
        spec=ResNetSpec(
            name=f"resnet{depth}",
            num_classes=10,
            img_size=32,
            stem=STEM,
            stages=cifar_stages(depth, "bottleneck"),
            branch="bottleneck",
            shortcut="B",
        ),
        source=f"{PAPER}, table 3",
        summary="bottleneck (B)",
        paper={**paper, "protocol": PROTOCOL},
    )


RESNET200 = Entry(
    family="resnet",
    spec=ResNetSpec(
        name="resnet200",
        stem=IMAGENET_STEM,
        stages=tuple(
            StageSpec(width=width, depth=depth, stride=stride)
            for width, depth, stride in ((64, 3, 1), (128, 24, 2), (256, 36, 2), (512, 3, 2))
        ),
        branch="bottleneck",
        shortcut="B",
    ),
    source=f"{PAPER}, section 5 and table 5",
    summary="bottleneck (B)",
    paper={
        "error_pct": 21.8,
        "top5_error_pct": 6.0,
        "protocol": "ILSVRC 2012 validation, single model, one 320-pixel crop",
    },
    deviations=(
        "stride 2 on the first 1x1 convolution of a bottleneck as in 2015; the paper does not say",
        POOL,
    ),
)

ENTRIES: tuple[Entry, ...] = (
    *(_shortcut_kind(depth, *row) for depth in (20, 110) for row in SHORTCUTS),
    *(_conv_shortcut(depth) for depth in (20, 110)),
    *(_order(depth, *row) for depth in (20, 110, 164) for row in ORDERS),
    _original(164, {"error_pct": 5.93, "params": 1.7e6}),
    _original(1001, {"error_pct": 7.61, "params": 10.2e6}),
    RESNET200,
)
