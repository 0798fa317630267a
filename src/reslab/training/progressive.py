"""Smaller images early in a run: coarse features are learned at a fraction of the work."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from reslab.training.recipe import Recipe


def training_size(recipe: Recipe, progress: float) -> int:
    """Return the side of the training images at a share of the run, pixels.

    The run begins at `progressive_size` and changes to `img_size` when `progressive_share` of its
    updates is done, or of its time where that is what limits it.

    Source: Howard 2018 ("progressive resizing"); Tan and Le 2021 (arXiv 2104.00298), section 4.
    """
    return recipe.progressive_size if progress < recipe.progressive_share else recipe.img_size


def cost_of_the_rest(recipe: Recipe, progress: float) -> float:
    """Return what a step of the rest of the run costs on average, in steps of the present size.

    The cost of an image grows with its area.
    """
    if progress >= recipe.progressive_share:
        return 1.0
    # Shares of what is left, not of the whole run; an image costs as its area.
    early = (recipe.progressive_share - progress) / (1.0 - progress)
    return early + (1.0 - early) * (recipe.img_size / recipe.progressive_size) ** 2


def resized(images: Tensor, size: int) -> Tensor:
    """Scale (B, C, H, W) to (B, C, size, size), averaging where pixels become fewer."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)
