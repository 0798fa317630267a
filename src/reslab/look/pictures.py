"""Tensors as pictures of a bounded size, and pictures as sheets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from reslab.data.arrays import Pixels
from reslab.data.preprocess import Preprocess, center_crop

Floats = npt.NDArray[np.float64]


def pixels_of(images: torch.Tensor, preprocess: Preprocess) -> list[Pixels]:
    """Turn network input back into the pixels it came from, uint8 (H, W, 3) each.

    Args:
        images: normalised, (B, in_chans, img_size, img_size).
        preprocess: how they were made.
    """
    return [_rgb(one) for one in _bytes(images, preprocess)]


def seen_by(images: torch.Tensor, preprocess: Preprocess, other: Preprocess) -> torch.Tensor:
    """Turn network input into what another model makes of the same pixels.

    Args:
        images: normalised, (B, in_chans, img_size, img_size).
        preprocess: how they were made.
        other: how the other model makes them, equal but for what is subtracted and divided by.
    """
    mean, scale = _mean_and_scale(other)
    return (_bytes(images, preprocess).float() - mean) / scale


def _bytes(images: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    mean, scale = _mean_and_scale(preprocess)
    values = images.float().cpu() * scale + mean
    return values.round().clamp(0, 255).to(torch.uint8)


def _mean_and_scale(preprocess: Preprocess) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean (C, H, W) and standard deviation (C, 1, 1) of network input, in 0..255."""
    mean, std = preprocess.constants(torch.device("cpu"))
    side, chans = preprocess.resize_size, preprocess.in_chans
    mean = mean.view(-1, side, chans).expand(side, side, chans).permute(2, 0, 1)
    return center_crop(mean, preprocess.img_size), std.view(side, chans)[0][:, None, None]


def around_gray(values: torch.Tensor, full: float = 1.0) -> Pixels:
    """Show signed values (C, H, W) around a middle grey.

    Args:
        values: where zero is grey.
        full: the quantile of sizes above which a value has its full strength.
    """
    sizes = values.abs().flatten()
    sizes = sizes[sizes > 0]
    largest = float(sizes.quantile(full)) if len(sizes) else 1.0
    scaled = (values.float() / max(largest, 1e-12)).clamp(-1, 1)
    return _rgb((127.5 * (scaled + 1)).round().to(torch.uint8))


def _rgb(chw: torch.Tensor) -> Pixels:
    """Bring (1 or 3, H, W) to (H, W, 3); of other channel counts the first is shown, grey."""
    if chw.shape[0] != 3:
        chw = chw[:1].expand(3, -1, -1)
    pixels: Pixels = chw.permute(1, 2, 0).contiguous().numpy()
    return pixels


def unit_range(values: torch.Tensor) -> Floats:
    """Stretch one map (h, w) from its least to its largest value over 0..1."""
    low, high = values.min(), values.max()
    stretched: Floats = ((values - low) / (high - low).clamp(min=1e-12)).double().numpy()
    return stretched


def smooth(values: torch.Tensor, side: int) -> Floats:
    """Enlarge a map (h, w) to (side, side) by bilinear interpolation."""
    large = F.interpolate(
        values[None, None].double(), size=(side, side), mode="bilinear", align_corners=False
    )
    enlarged: Floats = large[0, 0].numpy()
    return enlarged


def enlarged(pixels: Pixels, side: int) -> Pixels:
    """Bring a picture to about `side` pixels: small ones as squares, large ones smoothly."""
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = Image.Resampling.NEAREST if scale >= 1.5 else Image.Resampling.LANCZOS
    return np.asarray(image.resize(size, how))


def cut(pixels: Pixels, top: int, left: int, side: int) -> Pixels:
    """Cut a square out of a picture, moved inwards where it would leave it."""
    height, width = pixels.shape[:2]
    side = min(side, height, width)
    top, left = min(max(0, top), height - side), min(max(0, left), width - side)
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])
