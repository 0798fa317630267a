"""Random views of whole batches of training images, as tensors, on any device.

Every number that a view needs is a function of (seed, epoch, sample), and every operation treats
each image by itself with arithmetic that rounds in one way only. So the view of an image is the
same, bit for bit on a CPU, whatever else is in its batch.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.data.augment import Augment
from reslab.data.colour import recolour
from reslab.data.preprocess import Preprocess, network_input, normalise
from reslab.data.random import Draw
from reslab.data.visit import Visit

_ERASE_AREA = (0.02, 0.33)
_ERASE_RATIO = (0.3, 3.3)


def random_view(batch: Tensor, visit: Visit, augment: Augment, preprocess: Preprocess) -> Tensor:
    """Take one random view of each image; with everything switched off, evaluation's view.

    Args:
        batch: uint8, (B, resize_size, resize_size, in_chans).
        visit: the samples that the images are of; tensors on the device of the batch.
        augment: which views to take.
        preprocess: how images become network input.

    Returns:
        float32, (B, in_chans, img_size, img_size), channels last in memory.
    """
    if augment == Augment():
        return network_input(batch, preprocess).contiguous(memory_format=torch.channels_last)
    if augment.color_jitter or augment.pca_color:
        batch = recolour(batch, visit, augment)
    x = normalise(batch, preprocess)
    if augment.crop_scale is not None or augment.rotate:
        if augment.pad_crop:
            x = pad_crop_flip(x, visit, augment.pad_crop, preprocess.resize_size, flip=False)
        x = warp(x, visit, augment, preprocess.img_size)
    else:
        x = pad_crop_flip(
            x,
            visit,
            augment.pad_crop,
            preprocess.img_size,
            flip=augment.flip,
            alternating=augment.alternating_flip,
        )
    if augment.random_erasing:
        x = erase(x, visit, augment.random_erasing)
    return x


def mirrored(visit: Visit, alternating: bool) -> Tensor:
    """Choose the images to mirror (B,): by chance, or each every other time it is visited.

    Alternating, chance decides an image's first visit only, so that two epochs show both sides
    of every image.

    Source: Jordan 2024 (arXiv 2404.00498), section 3.6.
    """
    if not alternating:
        return visit.uniform(Draw.FLIP) < 0.5
    first = dataclasses.replace(visit, epochs=torch.zeros_like(visit.epochs))
    return (first.uniform(Draw.FLIP) < 0.5) ^ (visit.epochs % 2 == 1)


def pad_crop_flip(
    x: Tensor, visit: Visit, padding: int, size: int, *, flip: bool, alternating: bool = False
) -> Tensor:
    """Pad with zeros, cut a random square of `size`, mirror half of the images.

    Args:
        x: float32, (B, C, R, R), channels last in memory.
        visit: the samples that the images are of.
        padding: zeros on each side, pixels.
        size: side of the square, at most R + 2 * padding.
        flip: whether to mirror half of the images.
        alternating: how those are chosen, see `mirrored`.

    Source:
        He et al. 2015, section 4.2 (4 pixels, 32x32 crop or its horizontal flip).
    """
    count, channels, side = x.shape[0], x.shape[1], x.shape[2]
    pixels = x.permute(0, 2, 3, 1)
    if padding:
        rim = (padding * channels, padding * channels, padding, padding)
        pixels = F.pad(pixels.flatten(2), rim)
    side += 2 * padding
    steps = torch.arange(size, device=x.device)
    top = visit.integers(Draw.TOP, side - size + 1)
    left = visit.integers(Draw.LEFT, side - size + 1)
    rows = top[:, None] + steps
    columns = left[:, None] + steps
    if flip:
        chosen = mirrored(visit, alternating)
        columns = torch.where(chosen[:, None], columns.flip(1), columns)
    rows += torch.arange(count, device=x.device)[:, None] * side
    places = rows[:, :, None] * side + columns[:, None, :]
    cut = pixels.reshape(-1, channels).index_select(0, places.flatten())
    return cut.view(count, size, size, channels).permute(0, 3, 1, 2)


def warp(x: Tensor, visit: Visit, augment: Augment, size: int) -> Tensor:
    """Cut a random box, turned and mirrored, and scale it to a square: one sampling in all.

    The box has a share of the area drawn from `crop_scale` and an aspect ratio drawn from
    `crop_ratio`, as far as it fits; without a `crop_scale` it is a square of `size` pixels. Beyond
    the border the image is mirrored. Where the image is
    larger than the output, each output pixel is the mean of several bilinear samples.

    Args:
        x: float32, (B, C, R, R).
        visit: the samples that the images are of.
        augment: uses crop_scale, crop_ratio, rotate, flip and alternating_flip.
        size: side of the output.

    Returns:
        float32, (B, C, size, size), channels last in memory.
    """
    width, height, middle_x, middle_y = _box(visit, augment, x, size)
    if augment.flip:
        width = torch.where(mirrored(visit, augment.alternating_flip), -width, width)
    cosine, sine = _rotation(visit, augment.rotate, x)
    several = max(1, round(x.shape[-1] / size))
    u = _centres(size * several, x)
    across, down = width[:, None] * u, height[:, None] * u
    grid = x.new_empty(len(x), len(u), len(u), 2)
    grid[..., 0] = (middle_x[:, None] + cosine * across)[:, None, :] - (sine * down)[:, :, None]
    grid[..., 1] = (sine * across)[:, None, :] + (middle_y[:, None] + cosine * down)[:, :, None]
    x = F.grid_sample(x.contiguous(), grid, padding_mode="reflection", align_corners=False)
    if several > 1:
        x = F.avg_pool2d(x, several)
    return x.contiguous(memory_format=torch.channels_last)


def _box(
    visit: Visit, augment: Augment, x: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return half width, half height and centre of a box in an image that spans -1 .. 1."""
    if augment.crop_scale is None:  # as large as evaluation's, anywhere
        half = torch.full((len(x),), size / x.shape[-1], device=x.device)
        middle_x = visit.uniform(Draw.CROP_X, -1, 1) * (1 - half)
        middle_y = visit.uniform(Draw.CROP_Y, -1, 1) * (1 - half)
        return half, half, middle_x, middle_y
    area = visit.uniform(Draw.CROP_AREA, *augment.crop_scale)
    ratio = visit.log_uniform(Draw.CROP_RATIO, *augment.crop_ratio)
    ratio = torch.minimum(torch.maximum(ratio, area), 1 / area)
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    middle_x = visit.uniform(Draw.CROP_X, -1, 1) * (1 - width)
    middle_y = visit.uniform(Draw.CROP_Y, -1, 1) * (1 - height)
    return width, height, middle_x, middle_y


def _rotation(visit: Visit, degrees: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of a random angle as (B, 1)."""
    if not degrees:
        one = torch.ones(len(x), 1, device=x.device)
        return one, one - 1
    cosine, sine = _turns(degrees, str(x.device))
    chosen = visit.integers(Draw.ROTATION, len(cosine))[:, None]
    return cosine[chosen], sine[chosen]


@functools.lru_cache(maxsize=4)
def _turns(degrees: float, device: str) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of the angles there are; why a table, see `random`."""
    steps = torch.arange(-2048, 2049, dtype=torch.float64) * (math.radians(degrees) / 2048)
    return steps.cos().float().to(device), steps.sin().float().to(device)


def _centres(count: int, x: Tensor) -> Tensor:
    """Return the middles of `count` equal parts of -1 .. 1."""
    return (torch.arange(count, device=x.device, dtype=x.dtype) * 2 + (1 - count)) / count


def erase(x: Tensor, visit: Visit, probability: float) -> Tensor:
    """Set a random rectangle of some images to zero, the mean colour; in place.

    Source:
        Zhong et al. 2017 (arXiv 1708.04896): area 2 to 33 percent, aspect ratio 0.3 to 3.3.
    """
    side = x.shape[-1]
    area = visit.uniform(Draw.ERASE_AREA, *_ERASE_AREA)
    ratio = visit.log_uniform(Draw.ERASE_RATIO, *_ERASE_RATIO)
    width = ((area * ratio).sqrt() * side).round().clamp(1, side)
    height = ((area / ratio).sqrt() * side).round().clamp(1, side)
    left = (visit.uniform(Draw.ERASE_X) * (side - width + 1)).floor()
    top = (visit.uniform(Draw.ERASE_Y) * (side - height + 1)).floor()
    hit = visit.uniform(Draw.ERASE) < probability
    mask = rectangle(top, left, height * hit, width, side)
    return x.masked_fill_(mask[:, None], 0.0)


def rectangle(top: Tensor, left: Tensor, height: Tensor, width: Tensor, side: int) -> Tensor:
    """Return masks (B, side, side) that are true inside a rectangle of pixels."""
    steps = torch.arange(side, device=top.device)
    rows = (steps >= top[:, None]) & (steps < (top + height)[:, None])
    columns = (steps >= left[:, None]) & (steps < (left + width)[:, None])
    return rows[:, :, None] & columns[:, None, :]
