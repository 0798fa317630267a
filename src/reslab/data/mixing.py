"""Mixup and cutmix with a partner that is drawn from the whole training split."""

from __future__ import annotations

import torch
from torch import Tensor

from reslab.data.augment import Augment
from reslab.data.random import Draw
from reslab.data.views import rectangle
from reslab.data.visit import Visit


def partners(visit: Visit, indices: Tensor) -> Tensor:
    """Draw for each visit the number of another sample, any of the training split.

    Args:
        visit: the samples to find a partner for.
        indices: int64, the sample numbers of the training split, on the device of the visit.
    """
    return indices[visit.integers(Draw.PARTNER, len(indices))]


def mix(images: Tensor, others: Tensor, visit: Visit, augment: Augment) -> tuple[Tensor, Tensor]:
    """Compute w x + (1 - w) y (mixup), or paste a box of y into x (cutmix).

    Where both are switched on each image takes one of them, by a coin.

    Args:
        images: float32, (B, C, s, s).
        others: views of the partners, of the same shape; overwritten.
        visit: the samples that the images are of.
        augment: uses mixup and cutmix, the parameters of the Beta distributions.

    Returns:
        The mixed images, and the weight (B,) of the label of `images`; the label of the
        partner has the rest.

    Source:
        Zhang et al. 2017 (arXiv 1710.09412); Yun et al. 2019 (arXiv 1905.04899).
    """
    both = augment.mixup > 0 and augment.cutmix > 0
    paste = torch.full_like(visit.samples, augment.cutmix > 0, dtype=torch.bool)
    if both:
        paste = visit.uniform(Draw.MIX_KIND) < 0.5
    weight = torch.ones(len(images), device=images.device)
    if augment.cutmix:
        images, kept = _cutmix(images, others, visit, augment.cutmix, paste)
        weight = torch.where(paste, kept, weight)
    if augment.mixup:
        share = visit.beta(Draw.MIX_WEIGHT, augment.mixup)
        share = torch.where(paste, torch.ones_like(share), share)[:, None, None, None]
        images = images * share + others.mul_(1 - share)
        weight = torch.where(paste, weight, share.flatten())
    return images, weight


def _cutmix(
    images: Tensor, others: Tensor, visit: Visit, alpha: float, paste: Tensor
) -> tuple[Tensor, Tensor]:
    """Paste boxes with a share 1 - w of the area, cut off at the border; return the true w."""
    side = images.shape[-1]
    share = visit.beta(Draw.MIX_WEIGHT, alpha)
    edge = ((1 - share).sqrt() * side).floor()
    left = (visit.uniform(Draw.MIX_X) * side).floor() - (edge / 2).floor()
    top = (visit.uniform(Draw.MIX_Y) * side).floor() - (edge / 2).floor()
    mask = rectangle(top, left, edge * paste, edge, side)
    kept = 1 - mask.sum(dim=(1, 2)) / side**2
    return torch.where(mask[:, None], others, images), kept
