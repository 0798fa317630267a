"""Kinds of shortcuts and orders of layers (He et al. 2016, arXiv 1603.05027), tables 1 and 2."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Any, Literal

import torch
from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import (
    AdditiveBlock,
    Gate,
    ResidualBlock,
    SharedActivationBlock,
    TensorFunction,
    make_shortcut,
    set_gate_bias,
)
from reslab.networks.network import GlobalAveragePool, Network, builds, initialize
from reslab.networks.preact import PAPER, PROTOCOL
from reslab.networks.resnet import (
    CIFAR_STEM,
    IMAGENET_STEM,
    POOL,
    BlockPosition,
    Branch,
    ResNetSpec,
    StageSpec,
    cifar_stages,
    make_branch,
    make_stem,
    network_of_blocks,
)
from reslab.networks.spec import Entry, Published, Section, spec_kind

ShortcutKind = Literal["scaled", "exclusive_gate", "shortcut_gate", "dropout"]
ActivationOrder = Literal["bn_after_addition", "relu_before_addition", "relu_preactivation"]

# The values that a kind needs; the others stay None.
VALUES: dict[ShortcutKind, tuple[str, ...]] = {
    "scaled": ("shortcut_scale", "branch_scale"),
    "exclusive_gate": ("gate_bias",),
    "shortcut_gate": ("gate_bias",),
    "dropout": ("shortcut_dropout",),
}


@spec_kind("shortcut_kind")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ShortcutKindSpec(ResNetSpec):
    """A residual network with something on its shortcuts (He et al. 2016, table 1).

    Every block has it, also those that change dimensions, where it acts on the input made to
    fit by option `shortcut`. The unit ends in a ReLU as in the network of 2015.

    Args:
        unit: "scaled" relu(a x + b F(x)); "exclusive_gate" relu((1 - g(x)) x + g(x) F(x));
            "shortcut_gate" relu((1 - g(x)) x + F(x)); "dropout" relu(dropout(x) + F(x)). (The
            table's 1x1 convolution on every shortcut is option C of a `ResNetSpec`.)
        shortcut_scale: a, for "scaled"; with 0 it is the plain network.
        branch_scale: b, for "scaled".
        gate_bias: where the biases of the gates' 1x1 convolutions start; a gate starts near
            sigmoid(gate_bias). The paper tries 0 to -10 and reports -6.
        shortcut_dropout: probability of dropping a value, for "dropout"; 0.5 in the paper.
    """

    unit: ShortcutKind
    shortcut_scale: float | None = None
    branch_scale: float | None = None
    gate_bias: float | None = None
    shortcut_dropout: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in sorted({name for names in VALUES.values() for name in names}):
            needed, given = field in VALUES[self.unit], getattr(self, field) is not None
            if needed != given:
                raise UsageError(
                    f"unit '{self.unit}' {'needs a' if needed else 'has no'} {field}, "
                    f"received {getattr(self, field)}"
                )
        if self.shortcut == "none":
            raise UsageError(
                f"unit '{self.unit}' acts on shortcuts, received shortcut 'none'",
                remedy="give option A, B or C; for a plain network take a ResNetSpec",
            )
        if self.shortcut_dropout is not None and not 0.0 <= self.shortcut_dropout < 1.0:
            raise UsageError(
                f"shortcut_dropout must be in [0, 1), received {self.shortcut_dropout}"
            )


@spec_kind("activation_order")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ActivationOrderSpec(ResNetSpec):
    """A residual network with its activations in other places (He et al. 2016, figure 4 b to d).

    The original order (a) is a `ResNetSpec`, full pre-activation (e) a `PreActSpec`. Only the
    layer that the name says has moved: convolutions and the batch norm that follows each
    projection are those of the original.

    Args:
        order: "bn_after_addition" relu(BN(x + F(x))), F without its last batch norm;
            "relu_before_addition" x + relu(F(x)); "relu_preactivation" x + F(relu(x)). In the
            last, the first block of each stage feeds relu(x) to its shortcut too, and one more
            ReLU follows the last block.
    """

    order: ActivationOrder

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortcut == "none":
            raise UsageError("an activation order is one of residual networks, received 'none'")


class ScaledBlock(nn.Module):
    """y = relu(a shortcut(x) + b F(x)).

    Args:
        branch: F, the layers that learn the residual; ends without an activation.
        shortcut: from the input to the output's shape.
        shortcut_scale: a.
        branch_scale: b.

    Source: He et al. 2016, section 3.1, "Constant scaling", and figure 2 (b).
    """

    act: TensorFunction

    def __init__(
        self, branch: nn.Module, shortcut: nn.Module, shortcut_scale: float, branch_scale: float
    ) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.shortcut_scale = shortcut_scale
        self.branch_scale = branch_scale
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu(a shortcut(x) + b F(x))."""
        return self.act(self.shortcut_scale * self.shortcut(x) + self.branch_scale * self.branch(x))

    def extra_repr(self) -> str:
        """Say what the printed module does."""
        return f"shortcut_scale={self.shortcut_scale}, branch_scale={self.branch_scale}"


class ExclusiveGateBlock(nn.Module):
    """y = relu((1 - g(x)) shortcut(x) + g(x) F(x)): the gate opens one path and shuts the other.

    Args:
        branch: F, the layers that learn the residual; ends without an activation.
        shortcut: from the input to the output's shape.
        gate: g, from the input to the output's shape.

    Source: He et al. 2016, section 3.1, "Exclusive gating", and figure 2 (c); the highway
    layer's gate on a residual unit.
    """

    act: TensorFunction

    def __init__(self, branch: nn.Module, shortcut: nn.Module, gate: Gate) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.gate = gate
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu((1 - g(x)) shortcut(x) + g(x) F(x))."""
        g = self.gate(x)
        return self.act((1 - g) * self.shortcut(x) + g * self.branch(x))


class ShortcutGateBlock(nn.Module):
    """y = relu((1 - g(x)) shortcut(x) + F(x)): the gate acts on the shortcut alone.

    Args:
        branch: F, the layers that learn the residual; ends without an activation.
        shortcut: from the input to the output's shape.
        gate: g, from the input to the output's shape.

    Source: He et al. 2016, section 3.1, "Shortcut-only gating", and figure 2 (d).
    """

    act: TensorFunction

    def __init__(self, branch: nn.Module, shortcut: nn.Module, gate: Gate) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.gate = gate
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu((1 - g(x)) shortcut(x) + F(x))."""
        return self.act((1 - self.gate(x)) * self.shortcut(x) + self.branch(x))


class DropoutShortcut(nn.Sequential):
    """shortcut(x) = dropout(fit(x)).

    Args:
        fit: from the input to the output's shape.
        dropout: probability of dropping a value in training; what is kept is scaled up.

    Source: He et al. 2016, section 3.1, "Dropout shortcut", and figure 2 (f).
    """

    def __init__(self, fit: nn.Module, dropout: float) -> None:
        super().__init__(OrderedDict(fit=fit, drop=nn.Dropout(dropout)))


class NormAfterAdditionBlock(nn.Module):
    """y = relu(BN(F(x) + shortcut(x))).

    Args:
        branch: F, the layers that learn the residual; ends with a convolution.
        shortcut: what is added to it; the same output shape.
        width: channels of the output.

    Source: He et al. 2016, section 4.1, "BN after addition", and figure 4 (b).
    """

    act: TensorFunction

    def __init__(self, branch: nn.Module, shortcut: nn.Module, width: int) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute relu(BN(F(x) + shortcut(x)))."""
        return self.act(self.norm(self.branch(x) + self.shortcut(x)))


def drop_last_norm(branch: nn.Sequential) -> nn.Sequential:
    """Take the batch norm at its end from a branch: conv BN relu conv, for figure 4 (b)."""
    layers = list(branch.named_children())
    assert isinstance(layers[-1][1], nn.BatchNorm2d)
    return nn.Sequential(OrderedDict(layers[:-1]))


def append_relu(branch: nn.Sequential) -> nn.Sequential:
    """Rectify what a branch puts out: conv BN relu conv BN relu, for figure 4 (c)."""
    return nn.Sequential(OrderedDict([*branch.named_children(), ("act", nn.ReLU())]))


def prepend_relu(branch: nn.Sequential) -> nn.Sequential:
    """Rectify what a branch receives: relu conv BN relu conv BN, for figure 4 (d)."""
    return nn.Sequential(OrderedDict([("act", nn.ReLU()), *branch.named_children()]))


@builds(ShortcutKindSpec)
def build_shortcut_kind(spec: ShortcutKindSpec) -> Network:
    """Assemble a residual network with something on its shortcuts; He et al. 2016, table 1."""
    network = network_of_blocks(
        spec,
        stem=make_stem(spec.stem, spec.in_chans),
        make_block=lambda position: make_shortcut_kind(spec, position),
        features=GlobalAveragePool(),
    )
    initialize(network)
    # After `initialize`, which sets every bias to zero.
    if spec.gate_bias is not None:
        set_gate_bias(network, spec.gate_bias)
    return network


def make_shortcut_kind(spec: ShortcutKindSpec, position: BlockPosition) -> nn.Module:
    """Make one block with what the specification puts on its shortcut."""
    branch = make_branch(spec, position)
    shortcut = make_shortcut(position.in_width, position.out_width, position.stride, spec.shortcut)
    match spec.unit:
        case "scaled":
            assert spec.shortcut_scale is not None
            assert spec.branch_scale is not None
            return ScaledBlock(branch, shortcut, spec.shortcut_scale, spec.branch_scale)
        case "exclusive_gate":
            return ExclusiveGateBlock(branch, shortcut, _gate(position))
        case "shortcut_gate":
            return ShortcutGateBlock(branch, shortcut, _gate(position))
        case "dropout":
            assert spec.shortcut_dropout is not None
            return ResidualBlock(branch, DropoutShortcut(shortcut, spec.shortcut_dropout))


def _gate(position: BlockPosition) -> Gate:
    return Gate(position.in_width, position.out_width, stride=position.stride)


@builds(ActivationOrderSpec)
def build_activation_order(spec: ActivationOrderSpec) -> Network:
    """Assemble a residual network with moved activations; He et al. 2016, figure 4 (b) to (d)."""
    features: nn.Module = GlobalAveragePool()
    if spec.order == "relu_preactivation":  # what the last block puts out is not activated yet
        features = nn.Sequential(OrderedDict(act=nn.ReLU(), pool=features))
    network = network_of_blocks(
        spec,
        stem=make_stem(spec.stem, spec.in_chans),
        make_block=lambda position: make_ordered(spec, position),
        features=features,
    )
    initialize(network)
    return network


def make_ordered(spec: ActivationOrderSpec, position: BlockPosition) -> nn.Module:
    """Make one block with its activations where the specification wants them."""
    branch = make_branch(spec, position)
    shortcut = make_shortcut(position.in_width, position.out_width, position.stride, spec.shortcut)
    match spec.order:
        case "bn_after_addition":
            return NormAfterAdditionBlock(drop_last_norm(branch), shortcut, position.out_width)
        case "relu_before_addition":
            return AdditiveBlock(append_relu(branch), shortcut)
        case "relu_preactivation":
            if position.opens_stage:
                return SharedActivationBlock(nn.ReLU(), branch, shortcut)
            return AdditiveBlock(prepend_relu(branch), shortcut)


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
            stem=CIFAR_STEM,
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
            stem=CIFAR_STEM,
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
            stem=CIFAR_STEM,
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
            stem=CIFAR_STEM,
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

SECTIONS = (
    Section(
        "Kinds of shortcuts and orders of layers (He et al. 2016, arXiv 1603.05027), "
        "tables 1 and 2",
        ENTRIES,
        notes="""\
Of table 1, the shortcut scaled by 0 is `plain110`; the rows for other biases of the gates are
`replace(spec, gate_bias=...)`. Of table 2, (a) is `resnet110` and `resnet164`, (e) is
`preact_resnet110` and `preact_resnet164`.""",
    ),
)
