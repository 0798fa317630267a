"""Identity mappings (He et al. 2016, arXiv 1603.05027): kinds of shortcuts, orders of layers."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from reslab.errors import UsageError, unknown
from reslab.spec.network import spec_kind
from reslab.spec.resnet import ResNetSpec

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
        if self.unit not in get_args(ShortcutKind):
            raise unknown("unit", str(self.unit), get_args(ShortcutKind))
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
        if self.order not in get_args(ActivationOrder):
            raise unknown("order", str(self.order), get_args(ActivationOrder))
        if self.shortcut == "none":
            raise UsageError("an activation order is one of residual networks, received 'none'")
