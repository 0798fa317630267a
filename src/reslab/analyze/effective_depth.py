"""Which paths of a residual network carry the gradient: its effective depth."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.analyze.blocks import branch_of, residual_blocks
from reslab.analyze.view import Progress, batches, view_of, watched
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.highway import HighwayLayer
from reslab.networks.network import Network


@dataclasses.dataclass(frozen=True)
class PathLength:
    """All paths through so many branches.

    Args:
        length: branches on the path; the other blocks are crossed on their shortcuts.
        gradient_norm: mean norm of the gradient that reaches the image along one such path.
        path_share: share of all 2^n paths that are of this length.
        gradient_share: share of the sum over all paths of their gradients' norms.
    """

    length: int
    gradient_norm: float
    path_share: float
    gradient_share: float


@dataclasses.dataclass(frozen=True)
class EffectiveDepth:
    """Gradient by length of path.

    Args:
        network: its name.
        num_blocks: n, the number of residual blocks: the longest path.
        num_paths: paths that were drawn of each length.
        seed: of the draws.
        lengths: from 0 to n branches.
    """

    network: str
    num_blocks: int
    num_paths: int
    seed: int
    lengths: tuple[PathLength, ...]

    __repr__ = short_repr

    @property
    def mean(self) -> float:
        """The effective depth: mean length of a path, weighted by gradient, in blocks."""
        return sum(row.length * row.gradient_share for row in self.lengths)

    @property
    def central95(self) -> tuple[int, int]:
        """Between which lengths the middle 95% of the gradient flow."""
        return self._quantile(0.025), self._quantile(0.975)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        low, high = self.central95
        return dataclasses.asdict(self) | {"mean": self.mean, "central95": [low, high]}

    def _quantile(self, share: float) -> int:
        total = 0.0
        for row in self.lengths:
            total += row.gradient_share
            if total >= share:
                return row.length
        return self.num_blocks


def effective_depth(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    num_paths: int = 16,
    seed: int = 0,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> EffectiveDepth:
    """Measure the gradient that reaches the image along paths through k of n branches.

    The forward pass is the whole network's. On the way back each block lets the gradient
    through one of its two paths alone: the branch in the k blocks that are drawn, the shortcut
    in the others. Gates and activations that both paths share stay as they are. A path's share
    of the gradient is its norm; there are n over k paths of each length. Each draw takes its own
    image, in the order of the images, again from the first where there are fewer than draws.

    Args:
        network: residual, with a shortcut of its own in each block; it stays as it is.
        images: network input, (N, in_chans, H, W).
        labels: int64 (N,).
        num_paths: draws for each length.
        seed: of the draws.
        batch_size: draws at once.
        progress: called with (draws done, draws in all).

    Raises:
        UsageError: the network has no residual blocks, has highway layers, or no classifier.

    Source: Veit, Wilber and Belongie 2016 (arXiv 1605.06431), section 5 and figure 6.
    """
    view = view_of(network)
    blocks = residual_blocks(view)
    if not blocks or not network.num_classes:
        what = "residual blocks" if not blocks else "classifier"
        raise UsageError(f"{network.spec.name} has no {what}")
    if any(isinstance(block, HighwayLayer) for block in blocks.values()):
        raise UsageError(
            f"the gates of {network.spec.name} are part of both paths",
            remedy="for a highway network look at the statistics of its gates",
        )
    lengths = torch.arange(len(blocks) + 1).repeat_interleave(num_paths)
    on_branch = _draws(lengths, len(blocks), seed).to(next(view.parameters()).device)
    chosen = torch.arange(len(lengths)) % len(images)
    norms = torch.cat(
        [
            _gradient_norms(view, blocks, part, part_labels, on_branch[start : start + batch_size])
            for start, (part, part_labels) in _counted(
                view, images[chosen], labels[chosen], batch_size, progress
            )
        ]
    )
    means = norms.view(len(blocks) + 1, num_paths).mean(1).tolist()
    return EffectiveDepth(
        network.spec.name, len(blocks), num_paths, seed, _rows(means, len(blocks))
    )


def _draws(lengths: Tensor, num_blocks: int, seed: int) -> Tensor:
    """Draw which branches each path takes, bool (draws, blocks), as many as its length says."""
    generator = torch.Generator().manual_seed(seed)
    # The rank of random numbers: in each row exactly k ranks are below k, all sets equally likely.
    order = torch.rand(len(lengths), num_blocks, generator=generator).argsort(1).argsort(1)
    return order < lengths[:, None]


def _counted(
    view: Network, images: Tensor, labels: Tensor, batch_size: int, progress: Progress | None
) -> Any:
    done = 0
    for part in batches(view, images, batch_size, labels):
        yield done, part
        done += len(part[1])
        if progress is not None:
            progress(done, len(images))


def _gradient_norms(
    view: Network, blocks: dict[str, nn.Module], images: Tensor, labels: Tensor, on_branch: Tensor
) -> Tensor:
    """Return |d loss / d image| of each image along its own path, float64 (B,)."""
    branches = {name: branch_of(block) for name, block in blocks.items()}
    shortcuts = {name: block.get_submodule("shortcut") for name, block in blocks.items()}
    column = {name: number for number, name in enumerate(blocks)}
    gates = {f"{n} gate": b.gate for n, b in blocks.items() if hasattr(b, "gate")}

    def through_branch(name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> Tensor:
        return _open_where(on_branch[:, column[name]], output)

    def through_shortcut(name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> Tensor:
        return _open_where(~on_branch[:, column[name]], output)

    def constant(_name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> Tensor:
        return output.detach()

    images = images.detach().clone().requires_grad_()
    with (
        torch.enable_grad(),
        watched(branches, through_branch),
        watched(shortcuts, through_shortcut),
        watched(gates, constant),  # type: ignore[arg-type]
    ):
        loss = F.cross_entropy(view(images), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
    norms: Tensor = gradient.double().flatten(1).norm(dim=1)
    return norms.cpu()


def _open_where(mask: Tensor, output: Tensor) -> Tensor:
    """Return the same values; the gradient passes for the images of the mask alone."""
    return torch.where(mask[:, None, None, None], output, output.detach())


def _rows(means: list[float], num_blocks: int) -> tuple[PathLength, ...]:
    # Through logarithms: 2^500 paths would still fit into a float, 2^1100 would not.
    logs = [
        math.lgamma(num_blocks + 1) - math.lgamma(k + 1) - math.lgamma(num_blocks - k + 1)
        for k in range(num_blocks + 1)
    ]
    paths = [math.exp(value - num_blocks * math.log(2)) for value in logs]
    weights = [
        value + math.log(mean) if mean > 0 else -math.inf
        for value, mean in zip(logs, means, strict=True)
    ]
    # Less the largest before exp: only ratios count, and none overflows.
    top = max(weights)
    shares = [math.exp(value - top) if top > -math.inf else 0.0 for value in weights]
    total = sum(shares) or 1.0
    return tuple(
        PathLength(length, mean, path, share / total)
        for length, (mean, path, share) in enumerate(zip(means, paths, shares, strict=True))
    )
