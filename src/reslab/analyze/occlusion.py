"""Cover a square of the image and see how much of the network's belief goes away."""

from __future__ import annotations

import dataclasses

import torch

from reslab.analyze.view import Progress, view_of
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.network import Network


@dataclasses.dataclass(frozen=True)
class Occlusion:
    """Probability of a class with each part of the image covered.

    Args:
        whole: float32 (B,), with nothing covered.
        covered: float32 (B, rows, columns), with a square over each cell of a grid.
        cell: side of a cell, pixels.
        patch: side of the covering square, pixels.
    """

    whole: torch.Tensor
    covered: torch.Tensor
    cell: int
    patch: int

    __repr__ = short_repr

    @property
    def drop(self) -> torch.Tensor:
        """How much probability each cell's cover took away; negative where it helped."""
        return self.whole[:, None, None] - self.covered


def occlusion(
    network: Network,
    images: torch.Tensor,
    classes: torch.Tensor,
    *,
    patch: int,
    cell: int,
    temperature: float = 1.0,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> Occlusion:
    """p(class | image with a square covered), the square centred on each cell of a grid.

    The cover is zero in the normalised image: the mean colour of the training images. At the
    border the part of the square that lies outside is cut off.

    Args:
        network: any network; it stays as it is.
        images: normalised, (B, in_chans, H, W).
        classes: int64 (B,), whose probability to follow.
        patch: side of the square, pixels.
        cell: distance between neighbouring squares, pixels.
        temperature: what logits are divided by, so that probabilities are those of a
            calibrated model.
        batch_size: covered images computed at once.
        progress: called with the covered images done, and all of them.

    Raises:
        UsageError: the square or the cell has no size, or the cell exceeds the image.

    Source: Zeiler and Fergus 2013, section 4.2 and figure 7 (d).
    """
    count, _, height, width = images.shape
    if patch < 1 or not 1 <= cell <= min(height, width):
        raise UsageError(
            f"patch must be 1 or more and cell 1 to {min(height, width)}, "
            f"received {patch} and {cell}"
        )
    rows, columns = -(-height // cell), -(-width // cell)
    boxes = [(_span(i, cell, patch), _span(j, cell, patch))
             for i in range(rows) for j in range(columns)]  # fmt: skip
    covered = torch.empty(count * len(boxes))
    view = view_of(network)
    with torch.no_grad():
        whole = _probability(view, images, classes, temperature)
        for start in range(0, len(covered), batch_size):
            numbers = range(start, min(start + batch_size, len(covered)))
            owners = torch.tensor([n // len(boxes) for n in numbers], device=images.device)
            batch = images[owners].clone()
            for one, n in zip(batch, numbers, strict=True):
                (top, bottom), (left, right) = boxes[n % len(boxes)]
                # Zero after normalisation is the mean color: gray of 0 would be an edge of its own.
                one[:, top:bottom, left:right] = 0
            chances = _probability(view, batch, classes[owners], temperature)
            covered[start : numbers.stop] = chances
            if progress is not None:
                progress(numbers.stop, len(covered))
    return Occlusion(whole, covered.view(count, rows, columns), cell, patch)


def _span(index: int, cell: int, patch: int) -> tuple[int, int]:
    """Return first and last pixel (exclusive) of a square centred on a cell."""
    first = index * cell + (cell - patch) // 2
    return max(0, first), first + patch


def _probability(
    network: Network, images: torch.Tensor, classes: torch.Tensor, temperature: float
) -> torch.Tensor:
    chances: torch.Tensor = (network(images).float() / temperature).softmax(dim=1)
    return chances.gather(1, classes.to(chances.device)[:, None])[:, 0].cpu()
