"""What a network's blocks are: the two paths of a residual block, and what can be left out."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import Tensor, nn

from reslab.networks.blocks import AdditiveBlock, ResidualBlock, SharedActivationBlock
from reslab.networks.highway import HighwayLayer
from reslab.networks.identity import (
    ExclusiveGateBlock,
    NormAfterAdditionBlock,
    ScaledBlock,
    ShortcutGateBlock,
)
from reslab.networks.inception import LinearResidualBlock, ScaledResidualBlock
from reslab.networks.lrn import LocalResponseNorm
from reslab.networks.network import Network

RESIDUAL = (
    ResidualBlock,
    AdditiveBlock,
    SharedActivationBlock,
    NormAfterAdditionBlock,
    ScaledBlock,
    ExclusiveGateBlock,
    ShortcutGateBlock,
    ScaledResidualBlock,
    LinearResidualBlock,
    HighwayLayer,
)
_BEHIND_A_CONVOLUTION = (nn.BatchNorm2d, nn.Identity, nn.ReLU, LocalResponseNorm, nn.Dropout)


def residual_blocks(network: nn.Module) -> dict[str, nn.Module]:
    """Return every block with two paths, by name, in the order of the modules."""
    return {name: block for name, block in network.named_modules() if isinstance(block, RESIDUAL)}


def branch_of(block: nn.Module) -> nn.Module:
    """Return F: the path of a residual block that learns."""
    inner = block.transform if isinstance(block, HighwayLayer) else block.branch
    assert isinstance(inner, nn.Module)
    return inner


def keeps_the_input(block: nn.Module) -> bool:
    """Tell whether the other path hands on the block's input as it is (a gate aside)."""
    return isinstance(block, HighwayLayer) or (
        isinstance(block.shortcut, nn.Identity) and not isinstance(block, SharedActivationBlock)
    )


def terms(
    block: nn.Module, x: Tensor, branch: Tensor, shortcut: Tensor | None, gate: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the two terms that a residual block adds up: the branch's and the shortcut's.

    Args:
        block: one of the RESIDUAL kinds.
        x: what it receives.
        branch: what its branch put out.
        shortcut: what its shortcut put out; None for a block without such a module.
        gate: what its gate put out; None for a block without.
    """
    if isinstance(block, HighwayLayer):
        assert gate is not None
        return branch * gate, x * (1 - gate)
    assert shortcut is not None
    match block:
        case ScaledBlock():
            return block.branch_scale * branch, block.shortcut_scale * shortcut
        case ExclusiveGateBlock():
            assert gate is not None
            return gate * branch, (1 - gate) * shortcut
        case ShortcutGateBlock():
            assert gate is not None
            return branch, (1 - gate) * shortcut
        case ScaledResidualBlock():
            return block.scale * branch, shortcut
        case _:
            return branch, shortcut


@dataclasses.dataclass(frozen=True, eq=False)
class Unit:
    """A run of a network's steps that can be left out.

    Args:
        name: of the block, or of the run's convolution.
        start: number of its first step.
        end: number of the step behind it.
        without: what stands in its place: the identity, or the block without its branch.
        shape: of what it puts out, without the batch, where it receives the same; empty where
            shapes change.
    """

    name: str
    start: int
    end: int
    without: nn.Module
    shape: tuple[int, ...]


def steps_of(network: Network) -> dict[str, nn.Module]:
    """Return the modules that a network runs one after the other: stem, blocks, head."""
    inner = {
        f"stages.{stage_name}.{name}": child
        for stage_name, stage in network.stages.named_children()
        for name, child in stage.named_children()
    }
    return {"stem": network.stem, **inner, "head": network.head}


def units_of(network: Network, image: Tensor) -> list[Unit]:
    """Find what can be left out between stem and head.

    A residual block becomes its shortcut, which is the identity where dimensions stay. Without
    shortcuts, whatever has weights and keeps the shape of its input becomes the identity: a
    plain block, an Inception module, a convolution with the norm and activation behind it.

    Args:
        network: in evaluation mode.
        image: one image, (1, in_chans, H, W), to see which shapes stay.
    """
    steps = steps_of(network)
    shapes = _shapes(steps, image)
    modules, names, units = list(steps.values()), list(steps), []
    number = 1
    while number < len(modules) - 1:
        module, end = modules[number], number + 1
        if isinstance(module, nn.Conv2d):
            while isinstance(modules[end], _BEHIND_A_CONVOLUTION):
                end += 1
        stays = shapes[number] == shapes[end]
        if isinstance(module, RESIDUAL) and not (stays and keeps_the_input(module)):
            shape = shapes[end] if stays else ()
            units.append(Unit(names[number], number, end, _without_branch(module), shape))
        elif stays and any(True for _ in module.parameters()):
            units.append(Unit(names[number], number, end, nn.Identity(), shapes[end]))
        number = end
    return units


def _shapes(steps: dict[str, nn.Module], image: Tensor) -> list[tuple[int, ...]]:
    """Return the shape that each step receives, and at the end that of the logits."""
    shapes, x = [], image
    with torch.inference_mode():
        for module in steps.values():
            shapes.append(tuple(x.shape[1:]))
            x = module(x)
    return [*shapes, tuple(x.shape[1:])]


class _Nothing(nn.Module):
    """F(x) = 0, of no shape of its own: it takes that of what it is added to."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(())


def _without_branch(block: nn.Module) -> nn.Module:
    changed = copy.deepcopy(block)
    changed.branch = _Nothing()
    return changed
