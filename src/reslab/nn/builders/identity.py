"""Kinds of shortcuts and orders of layers (He et al. 2016, arXiv 1603.05027), as modules."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from reslab.nn.activation_order import (
    NormAfterAdditionBlock,
    with_relu_behind,
    with_relu_in_front,
    without_last_norm,
)
from reslab.nn.blocks import ResidualBlock
from reslab.nn.build import builds
from reslab.nn.builders.assembler import Place, assemble, make_branch
from reslab.nn.gates import Gate, start_gates
from reslab.nn.head import GlobalAveragePool
from reslab.nn.init import initialise
from reslab.nn.network import Network
from reslab.nn.preact import AdditiveBlock, SharedActivationBlock
from reslab.nn.shortcut_kinds import (
    DropoutShortcut,
    ExclusiveGateBlock,
    ScaledBlock,
    ShortcutGateBlock,
)
from reslab.nn.shortcuts import make_shortcut
from reslab.nn.stem import make_stem
from reslab.spec.identity import ActivationOrderSpec, ShortcutKindSpec


@builds(ShortcutKindSpec)
def build_shortcut_kind(spec: ShortcutKindSpec) -> Network:
    """Assemble a residual network with something on its shortcuts; He et al. 2016, table 1."""
    network = assemble(
        spec,
        stem=make_stem(spec.stem, spec.in_chans),
        make_block=lambda place: make_shortcut_kind(spec, place),
        features=GlobalAveragePool(),
    )
    initialise(network)
    if spec.gate_bias is not None:
        start_gates(network, spec.gate_bias)
    return network


def make_shortcut_kind(spec: ShortcutKindSpec, place: Place) -> nn.Module:
    """Make one block with what the specification puts on its shortcut."""
    branch = make_branch(spec, place)
    shortcut = make_shortcut(place.in_width, place.out_width, place.stride, spec.shortcut)
    match spec.unit:
        case "scaled":
            assert spec.shortcut_scale is not None
            assert spec.branch_scale is not None
            return ScaledBlock(branch, shortcut, spec.shortcut_scale, spec.branch_scale)
        case "exclusive_gate":
            return ExclusiveGateBlock(branch, shortcut, _gate(place))
        case "shortcut_gate":
            return ShortcutGateBlock(branch, shortcut, _gate(place))
        case "dropout":
            assert spec.shortcut_dropout is not None
            return ResidualBlock(branch, DropoutShortcut(shortcut, spec.shortcut_dropout))


def _gate(place: Place) -> Gate:
    return Gate(place.in_width, place.out_width, stride=place.stride)


@builds(ActivationOrderSpec)
def build_activation_order(spec: ActivationOrderSpec) -> Network:
    """Assemble a residual network with moved activations; He et al. 2016, figure 4 (b) to (d)."""
    features: nn.Module = GlobalAveragePool()
    if spec.order == "relu_preactivation":  # what the last block puts out is not activated yet
        features = nn.Sequential(OrderedDict(act=nn.ReLU(), pool=features))
    network = assemble(
        spec,
        stem=make_stem(spec.stem, spec.in_chans),
        make_block=lambda place: make_ordered(spec, place),
        features=features,
    )
    initialise(network)
    return network


def make_ordered(spec: ActivationOrderSpec, place: Place) -> nn.Module:
    """Make one block with its activations where the specification wants them."""
    branch = make_branch(spec, place)
    shortcut = make_shortcut(place.in_width, place.out_width, place.stride, spec.shortcut)
    match spec.order:
        case "bn_after_addition":
            return NormAfterAdditionBlock(without_last_norm(branch), shortcut, place.out_width)
        case "relu_before_addition":
            return AdditiveBlock(with_relu_behind(branch), shortcut)
        case "relu_preactivation":
            if place.opens_stage:
                return SharedActivationBlock(nn.ReLU(), branch, shortcut)
            return AdditiveBlock(with_relu_in_front(branch), shortcut)
