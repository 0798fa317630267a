"""Random colours: brightness, contrast, saturation and AlexNet's shift, in one affine step."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from reslab.data.augment import Augment
from reslab.data.random import Draw
from reslab.data.visit import Visit

# Luma of ITU-R BT.601, as in Pillow's conversion to grey.
_LUMA = (0.299, 0.587, 0.114)
# Principal components of the colours of ImageNet, RGB in [0, 1]: the published values of
# fb.resnet.torch (after Krizhevsky et al. 2012, section 4.1).
_DEVIATIONS = (0.2175, 0.0188, 0.0045)
_COMPONENTS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def recolour(batch: Tensor, visit: Visit, augment: Augment) -> Tensor:
    """Compute saturate(contrast(brightness * x)) + shift, clipped to 0..255 once at the end.

    With mean grey g of the image and factors b, c, s: brightness is b x, contrast moves away
    from the mean, c (x - g) + g, saturation moves away from each pixel's own grey.

    Args:
        batch: uint8, (B, R, R, C); grey images know neither saturation nor a shift of colour.
        visit: the samples that the images are of.
        augment: uses jitter and pca_color.

    Returns:
        float32 of the same shape, 0..255.
    """
    x = batch.float()
    if augment.color_jitter:
        x = _jitter(x, visit, augment.color_jitter)
    if augment.pca_color and x.shape[-1] == 3:
        x += _shift(visit, augment.pca_color)[:, None, None, :]
    return x.clamp_(0, 255)


def _jitter(x: Tensor, visit: Visit, strength: float) -> Tensor:
    low, high = max(0.0, 1 - strength), 1 + strength
    brightness = visit.uniform(Draw.BRIGHTNESS, low, high)
    contrast = visit.uniform(Draw.CONTRAST, low, high)
    grey = _grey(x)
    # Sums of integers do not depend on the order in which they are added up.
    total = (grey * 256).to(torch.int32).sum(dim=(1, 2), dtype=torch.int64)
    mean = (total.double() / (256 * grey[0].numel())).float()
    gain = brightness * contrast
    offset = (1 - contrast) * brightness * mean
    if x.shape[-1] == 1:
        return x.mul_(gain[:, None, None, None]).add_(offset[:, None, None, None])
    saturation = visit.uniform(Draw.SATURATION, low, high)
    # s (gain x + offset) + (1 - s) (gain grey + offset)
    grey = grey * (gain * (1 - saturation))[:, None, None] + offset[:, None, None]
    return x.mul_((gain * saturation)[:, None, None, None]).add_(grey[..., None])


def _grey(x: Tensor) -> Tensor:
    if x.shape[-1] == 1:
        return x[..., 0]
    red, green, blue = x.unbind(-1)
    return red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]


def _shift(visit: Visit, deviation: float) -> Tensor:
    draws = (Draw.COLOUR_0, Draw.COLOUR_1, Draw.COLOUR_2)
    total = torch.zeros(len(visit.samples), 3, device=visit.samples.device)
    for draw, column in zip(draws, _columns(str(total.device)), strict=True):
        total += (visit.normal(draw) * deviation)[:, None] * column
    return total


@functools.lru_cache(maxsize=4)
def _columns(device: str) -> tuple[Tensor, ...]:
    """Return how far one standard deviation of each component shifts RGB, in 0..255."""
    columns = (
        [row[number] * deviation * 255 for row in _COMPONENTS]
        for number, deviation in enumerate(_DEVIATIONS)
    )
    return tuple(torch.tensor(column, device=device) for column in columns)
