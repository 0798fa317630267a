"""How large the residuals are: |F(x)| beside |x|, block by block."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from reslab.analyze.blocks import branch_of, keeps_the_input, residual_blocks, terms
from reslab.analyze.view import Moments, Statistics, batches, view_of, watched
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.network import Network


@dataclasses.dataclass(frozen=True)
class BlockRatio:
    """The two terms that one block adds up.

    Args:
        name: the block's module.
        branch_rms: root mean square of the branch's term, over images, channels and positions.
        shortcut_rms: that of the shortcut's term.
        keeps_the_input: whether the shortcut hands on what the block receives.
    """

    name: str
    branch_rms: float
    shortcut_rms: float
    keeps_the_input: bool

    @property
    def ratio(self) -> float | None:
        """|F(x)| / |x|; None where nothing comes through the shortcut."""
        return self.branch_rms / self.shortcut_rms if self.shortcut_rms else None


@dataclasses.dataclass(frozen=True)
class ResidualRatios:
    """The terms of all residual blocks of a network.

    Args:
        network: its name.
        num_images: how many images they were measured on.
        blocks: in the order they run.
    """

    network: str
    num_images: int
    blocks: tuple[BlockRatio, ...]

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        rows = [dataclasses.asdict(block) | {"ratio": block.ratio} for block in self.blocks]
        return {"network": self.network, "num_images": self.num_images, "blocks": rows}


def residual_ratios(
    network: Network,
    images: Tensor,
    *,
    statistics: Statistics = "running",
    batch_size: int = 128,
) -> ResidualRatios:
    """Measure |F(x)| / |x| of each residual block: what is added beside what it is added to.

    Both terms are taken as they enter the sum, scales and gates included: a F and b x of a
    scaled block, H(x) T(x) and x (1 - T(x)) of a highway layer.

    Args:
        network: any network; it stays as it is.
        images: network input, (N, in_chans, H, W).
        statistics: what batch norms normalise by.
        batch_size: images at once.

    Raises:
        UsageError: the network has no block with two paths.

    Source: the argument of He et al. 2015 (arXiv 1512.03385), section 4.2: residual functions
    might be generally closer to zero than the non-residual ones.
    """
    view = view_of(network, statistics=statistics)
    blocks = residual_blocks(view)
    if not blocks:
        raise UsageError(f"{network.spec.name} has no residual blocks")
    paths: dict[str, nn.Module] = {}
    for name, block in blocks.items():
        paths[f"{name} branch"] = branch_of(block)
        for part in ("shortcut", "gate"):
            if isinstance(inner := getattr(block, part, None), nn.Module):
                paths[f"{name} {part}"] = inner
    outputs: dict[str, Tensor] = {}
    found = {name: (Moments(), Moments()) for name in blocks}

    def keep(name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> None:
        outputs[name] = output

    def measure(name: str, block: nn.Module, x: Tensor, _output: Tensor) -> None:
        parts = (outputs.pop(f"{name} {part}", None) for part in ("branch", "shortcut", "gate"))
        branch, shortcut, gate = parts
        assert branch is not None
        for moments, term in zip(found[name], terms(block, x, branch, shortcut, gate), strict=True):
            moments.add(term)

    with torch.inference_mode(), watched(paths, keep), watched(blocks, measure):
        for part in batches(view, images, batch_size):
            view(part)
    rows = (
        BlockRatio(name, branch.rms, shortcut.rms, keeps_the_input(blocks[name]))
        for name, (branch, shortcut) in found.items()
    )
    return ResidualRatios(network.spec.name, len(images), tuple(rows))
