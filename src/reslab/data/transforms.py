"""Random views of whole batches of training images, as tensors, on any device.

`random_view` takes them; read it first. An augmentation is one function that is given the batch,
the random numbers of its samples and the settings, and returns the batch as it is where its
setting is off; it stands in one of the ordered lists `ON_PIXELS` and `ON_INPUT`. What moves pixels
is done in one sampling (`geometry`), what mixes images by `mix`.

Every number that a view needs is a function of (seed, epoch, sample), and every operation treats
each image by itself with arithmetic that rounds in one way only. So the view of an image is the
same, bit for bit on a CPU, whatever else is in its batch.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.data.augment import Augment
from reslab.data.preprocess import Preprocess, network_input, normalize
from reslab.data.sampler import Draw, SampleRng

Augmentation = Callable[[Tensor, SampleRng, Augment], Tensor]


def random_view(batch: Tensor, rng: SampleRng, augment: Augment, preprocess: Preprocess) -> Tensor:
    """Take one random view of each image; with everything switched off, evaluation's view.

    Args:
        batch: uint8, (B, resize_size, resize_size, in_chans).
        rng: the random numbers of the samples; tensors on the device of the batch.
        augment: which views to take.
        preprocess: how images become network input.

    Returns:
        float32, (B, in_chans, img_size, img_size), channels last in memory.
    """
    if augment == Augment():
        return network_input(batch, preprocess).contiguous(memory_format=torch.channels_last)
    x = recolor(batch, rng, augment)
    x = normalize(x, preprocess)
    x = geometry(x, rng, augment, preprocess)
    for change in ON_INPUT:
        x = change(x, rng, augment)
    return x


# --- colors: on pixels in 0..255, before they are normalized --------------------------------------

# Luma of ITU-R BT.601, as in Pillow's conversion to grey.
_LUMA = (0.299, 0.587, 0.114)
# Principal components of the colors of ImageNet, RGB in [0, 1]: the published values of
# fb.resnet.torch (after Krizhevsky et al. 2012, section 4.1).
_DEVIATIONS = (0.2175, 0.0188, 0.0045)
_COMPONENTS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def recolor(batch: Tensor, rng: SampleRng, augment: Augment) -> Tensor:
    """Change the colors by `ON_PIXELS` in their order, clipped to 0..255 once at the end.

    Args:
        batch: uint8, (B, R, R, C); grey images know neither saturation nor a shift of color.
        rng: the random numbers of the samples.
        augment: which views to take.

    Returns:
        float32 of the same shape, 0..255; the batch itself where nothing changes it.
    """
    x = batch
    for change in ON_PIXELS:
        x = change(x, rng, augment)
    return x if x is batch else x.clamp_(0, 255)


def color_jitter(x: Tensor, rng: SampleRng, augment: Augment) -> Tensor:
    """Compute saturate(contrast(brightness * x)), each factor from 1 ± `augment.color_jitter`.

    With mean grey g of the image and factors b, c, s: brightness is b x, contrast moves away
    from the mean, c (x - g) + g, saturation moves away from each pixel's own grey.
    """
    if not augment.color_jitter:
        return x
    x = x.float()
    low, high = max(0.0, 1 - augment.color_jitter), 1 + augment.color_jitter
    brightness = rng.uniform(Draw.BRIGHTNESS, low, high)
    contrast = rng.uniform(Draw.CONTRAST, low, high)
    grey = _grey(x)
    # A float sum depends on the order of its terms, hence on batch and threads; one of integers
    # does not.
    total = (grey * 256).to(torch.int32).sum(dim=(1, 2), dtype=torch.int64)
    mean = (total.double() / (256 * grey[0].numel())).float()
    # All three are affine in x and grey, so they are one multiplication and one addition:
    # s (gain x + offset) + (1 - s) (gain grey + offset)
    gain = brightness * contrast
    offset = (1 - contrast) * brightness * mean
    if x.shape[-1] == 1:
        return x.mul_(gain[:, None, None, None]).add_(offset[:, None, None, None])
    saturation = rng.uniform(Draw.SATURATION, low, high)
    grey = grey * (gain * (1 - saturation))[:, None, None] + offset[:, None, None]
    return x.mul_((gain * saturation)[:, None, None, None]).add_(grey[..., None])


def _grey(x: Tensor) -> Tensor:
    if x.shape[-1] == 1:
        return x[..., 0]
    red, green, blue = x.unbind(-1)
    return red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]


def pca_color(x: Tensor, rng: SampleRng, augment: Augment) -> Tensor:
    """Add AlexNet's shift along the principal components of ImageNet's colors.

    Source: Krizhevsky et al. 2012, section 4.1.
    """
    if not augment.pca_color or x.shape[-1] != 3:
        return x
    draws = (Draw.COLOR_0, Draw.COLOR_1, Draw.COLOR_2)
    shift = torch.zeros(len(rng.samples), 3, device=rng.samples.device)
    for draw, column in zip(draws, _columns(str(shift.device)), strict=True):
        shift += (rng.normal(draw) * augment.pca_color)[:, None] * column
    x = x.float()
    x += shift[:, None, None, :]
    return x


@functools.lru_cache(maxsize=4)
def _columns(device: str) -> tuple[Tensor, ...]:
    """Return how far one standard deviation of each component shifts RGB, in 0..255."""
    columns = (
        [row[number] * deviation * 255 for row in _COMPONENTS]
        for number, deviation in enumerate(_DEVIATIONS)
    )
    return tuple(torch.tensor(column, device=device) for column in columns)


ON_PIXELS: tuple[Augmentation, ...] = (color_jitter, pca_color)


# --- geometry: crops, mirrors, turns and scales, in one sampling of the pixels --------------------


def geometry(x: Tensor, rng: SampleRng, augment: Augment, preprocess: Preprocess) -> Tensor:
    """Cut each image to img_size: whole pixels where that is enough, interpolated otherwise.

    Args:
        x: float32, (B, C, R, R), channels last in memory.
        rng: the random numbers of the samples.
        augment: which views to take.
        preprocess: gives both sizes.
    """
    if augment.crop_scale is None and not augment.rotate:
        return pad_crop_flip(
            x,
            rng,
            augment.pad_crop,
            preprocess.img_size,
            flip=augment.flip,
            alternating=augment.alternating_flip,
        )
    if augment.pad_crop:
        x = pad_crop_flip(x, rng, augment.pad_crop, preprocess.resize_size, flip=False)
    return warp(x, rng, augment, preprocess.img_size)


def mirrored(rng: SampleRng, alternating: bool) -> Tensor:
    """Choose the images to mirror (B,): by chance, or each every other time it is visited.

    Alternating, chance decides an image's first visit only, so that two epochs show both sides
    of every image.

    Source: Jordan 2024 (arXiv 2404.00498), section 3.6.
    """
    if not alternating:
        return rng.uniform(Draw.FLIP) < 0.5
    first = dataclasses.replace(rng, epochs=torch.zeros_like(rng.epochs))
    return (first.uniform(Draw.FLIP) < 0.5) ^ (rng.epochs % 2 == 1)


def pad_crop_flip(
    x: Tensor, rng: SampleRng, padding: int, size: int, *, flip: bool, alternating: bool = False
) -> Tensor:
    """Pad with zeros, cut a random square of `size`, mirror half of the images.

    Args:
        x: float32, (B, C, R, R), channels last in memory.
        rng: the random numbers of the samples.
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
    top = rng.integers(Draw.TOP, side - size + 1)
    left = rng.integers(Draw.LEFT, side - size + 1)
    rows = top[:, None] + steps
    columns = left[:, None] + steps
    if flip:
        chosen = mirrored(rng, alternating)
        columns = torch.where(chosen[:, None], columns.flip(1), columns)
    # One look-up of whole pixels for the batch is faster than a slice an image.
    rows += torch.arange(count, device=x.device)[:, None] * side
    places = rows[:, :, None] * side + columns[:, None, :]
    cut = pixels.reshape(-1, channels).index_select(0, places.flatten())
    return cut.view(count, size, size, channels).permute(0, 3, 1, 2)


def warp(x: Tensor, rng: SampleRng, augment: Augment, size: int) -> Tensor:
    """Cut a random box, turned and mirrored, and scale it to a square: one sampling in all.

    The box has a share of the area drawn from `crop_scale` and an aspect ratio drawn from
    `crop_ratio`, as far as it fits; without a `crop_scale` it is a square of `size` pixels. Beyond
    the border the image is mirrored. Where the image is
    larger than the output, each output pixel is the mean of several bilinear samples.

    Args:
        x: float32, (B, C, R, R).
        rng: the random numbers of the samples.
        augment: uses crop_scale, crop_ratio, rotate, flip and alternating_flip.
        size: side of the output.

    Returns:
        float32, (B, C, size, size), channels last in memory.
    """
    width, height, middle_x, middle_y = _box(rng, augment, x, size)
    if augment.flip:
        width = torch.where(mirrored(rng, augment.alternating_flip), -width, width)
    cosine, sine = _rotation(rng, augment.rotate, x)
    # Bilinear sampling reads 4 pixels however far the image shrinks: average several of them, or
    # fine texture would alias.
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
    rng: SampleRng, augment: Augment, x: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return half width, half height and centre of a box in an image that spans -1 .. 1."""
    if augment.crop_scale is None:  # as large as evaluation's, anywhere
        half = torch.full((len(x),), size / x.shape[-1], device=x.device)
        middle_x = rng.uniform(Draw.CROP_X, -1, 1) * (1 - half)
        middle_y = rng.uniform(Draw.CROP_Y, -1, 1) * (1 - half)
        return half, half, middle_x, middle_y
    area = rng.uniform(Draw.CROP_AREA, *augment.crop_scale)
    ratio = rng.log_uniform(Draw.CROP_RATIO, *augment.crop_ratio)
    # A box of this area and a ratio beyond [area, 1 / area] would not fit into the image.
    ratio = torch.minimum(torch.maximum(ratio, area), 1 / area)
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    middle_x = rng.uniform(Draw.CROP_X, -1, 1) * (1 - width)
    middle_y = rng.uniform(Draw.CROP_Y, -1, 1) * (1 - height)
    return width, height, middle_x, middle_y


def _rotation(rng: SampleRng, degrees: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of a random angle as (B, 1)."""
    if not degrees:
        one = torch.ones(len(x), 1, device=x.device)
        return one, one - 1
    cosine, sine = _turns(degrees, str(x.device))
    chosen = rng.integers(Draw.ROTATION, len(cosine))[:, None]
    return cosine[chosen], sine[chosen]


@functools.lru_cache(maxsize=4)
def _turns(degrees: float, device: str) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of the angles there are; why a table, see `sampler`."""
    steps = torch.arange(-2048, 2049, dtype=torch.float64) * (math.radians(degrees) / 2048)
    return steps.cos().float().to(device), steps.sin().float().to(device)


def _centres(count: int, x: Tensor) -> Tensor:
    """Return the middles of `count` equal parts of -1 .. 1."""
    return (torch.arange(count, device=x.device, dtype=x.dtype) * 2 + (1 - count)) / count


# --- on the input of the network, where 0 is the mean color ---------------------------------------

_ERASE_AREA = (0.02, 0.33)
_ERASE_RATIO = (0.3, 3.3)


def random_erasing(x: Tensor, rng: SampleRng, augment: Augment) -> Tensor:
    """Set a random rectangle of some images to zero, the mean colour; in place.

    Source:
        Zhong et al. 2017 (arXiv 1708.04896): area 2 to 33 percent, aspect ratio 0.3 to 3.3.
    """
    if not augment.random_erasing:
        return x
    side = x.shape[-1]
    area = rng.uniform(Draw.ERASE_AREA, *_ERASE_AREA)
    ratio = rng.log_uniform(Draw.ERASE_RATIO, *_ERASE_RATIO)
    width = ((area * ratio).sqrt() * side).round().clamp(1, side)
    height = ((area / ratio).sqrt() * side).round().clamp(1, side)
    left = (rng.uniform(Draw.ERASE_X) * (side - width + 1)).floor()
    top = (rng.uniform(Draw.ERASE_Y) * (side - height + 1)).floor()
    hit = rng.uniform(Draw.ERASE) < augment.random_erasing
    mask = rectangle(top, left, height * hit, width, side)
    return x.masked_fill_(mask[:, None], 0.0)


def rectangle(top: Tensor, left: Tensor, height: Tensor, width: Tensor, side: int) -> Tensor:
    """Return masks (B, side, side) that are true inside a rectangle of pixels."""
    steps = torch.arange(side, device=top.device)
    rows = (steps >= top[:, None]) & (steps < (top + height)[:, None])
    columns = (steps >= left[:, None]) & (steps < (left + width)[:, None])
    return rows[:, :, None] & columns[:, None, :]


ON_INPUT: tuple[Augmentation, ...] = (random_erasing,)


# --- mixing with a partner that is drawn from the whole training split ----------------------------


def mixes(augment: Augment) -> bool:
    """Tell whether images are mixed with partners."""
    return bool(augment.mixup or augment.cutmix)


def partners(rng: SampleRng, indices: Tensor) -> Tensor:
    """Draw for each sample the number of another sample, any of the training split.

    Args:
        rng: the samples to find a partner for.
        indices: int64, the sample numbers of the training split, on the device of `rng`.
    """
    return indices[rng.integers(Draw.PARTNER, len(indices))]


def mix(images: Tensor, others: Tensor, rng: SampleRng, augment: Augment) -> tuple[Tensor, Tensor]:
    """Compute w x + (1 - w) y (mixup), or paste a box of y into x (cutmix).

    Where both are switched on each image takes one of them, by a coin.

    Args:
        images: float32, (B, C, s, s).
        others: views of the partners, of the same shape; overwritten.
        rng: the random numbers of the samples.
        augment: uses mixup and cutmix, the parameters of the Beta distributions.

    Returns:
        The mixed images, and the weight (B,) of the label of `images`; the label of the
        partner has the rest.

    Source:
        Zhang et al. 2017 (arXiv 1710.09412); Yun et al. 2019 (arXiv 1905.04899).
    """
    both = augment.mixup > 0 and augment.cutmix > 0
    paste = torch.full_like(rng.samples, augment.cutmix > 0, dtype=torch.bool)
    if both:
        paste = rng.uniform(Draw.MIX_KIND) < 0.5
    weight = torch.ones(len(images), device=images.device)
    if augment.cutmix:
        images, kept = _cutmix(images, others, rng, augment.cutmix, paste)
        weight = torch.where(paste, kept, weight)
    if augment.mixup:
        share = rng.beta(Draw.MIX_WEIGHT, augment.mixup)
        share = torch.where(paste, torch.ones_like(share), share)[:, None, None, None]
        images = images * share + others.mul_(1 - share)
        weight = torch.where(paste, weight, share.flatten())
    return images, weight


def _cutmix(
    images: Tensor, others: Tensor, rng: SampleRng, alpha: float, paste: Tensor
) -> tuple[Tensor, Tensor]:
    """Paste boxes with a share 1 - w of the area, cut off at the border; return the true w."""
    side = images.shape[-1]
    share = rng.beta(Draw.MIX_WEIGHT, alpha)
    edge = ((1 - share).sqrt() * side).floor()
    left = (rng.uniform(Draw.MIX_X) * side).floor() - (edge / 2).floor()
    top = (rng.uniform(Draw.MIX_Y) * side).floor() - (edge / 2).floor()
    mask = rectangle(top, left, edge * paste, edge, side)
    kept = 1 - mask.sum(dim=(1, 2)) / side**2
    return torch.where(mask[:, None], others, images), kept
