"""Mean and spread of the training images, for normalisation."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reslab.data.arrays import Indices
from reslab.data.bank import Bank
from reslab.display.short import short_repr
from reslab.errors import DataError

# A float32 holds the sum of up to 258 squares of bytes exactly: 258 * 255^2 < 2^24.
_CHUNK = 256
_LEAST_STD = 1 / 255


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What `Preprocess` needs to know of the training images.

    Args:
        mean: of each channel, in [0, 1].
        std: of each channel, in [0, 1]; at least one grey level, so that it divides.
        mean_image: of each pixel, (resize_size, resize_size, in_chans), in [0, 1].
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    mean_image: npt.NDArray[np.float32]

    __repr__ = short_repr


def statistics(bank: Bank, samples: Indices | Tensor) -> Statistics:
    """Compute mean, standard deviation and mean image over some images, exactly.

    Args:
        bank: the images.
        samples: numbers of the images to look at: those of the training split.

    Raises:
        DataError: there are no images.
    """
    if not len(samples):
        raise DataError("the training split is empty")
    shape = (bank.resize_size, bank.resize_size, bank.in_chans)
    total = torch.zeros(math.prod(shape), dtype=torch.float64, device=bank.device)
    squares = torch.zeros_like(total)
    exact = torch.float64 if bank.device.type == "cuda" else torch.float32  # never TF32
    for part in torch.as_tensor(samples, dtype=torch.int64).split(_CHUNK):
        pixels = bank.gather(part).flatten(1).to(exact)
        ones = torch.ones(len(part), dtype=exact, device=bank.device)
        total += ones @ pixels
        squares += ones @ pixels.square_()
    count = len(samples)
    mean = total.view(shape).mean(dim=(0, 1)) / count
    variance = squares.view(shape).mean(dim=(0, 1)) / count - mean.square()
    std = variance.clamp(min=0).sqrt() / 255
    return Statistics(
        mean=tuple((mean / 255).tolist()),
        std=tuple(std.clamp(min=_LEAST_STD).tolist()),
        mean_image=(total / count / 255).float().view(shape).cpu().numpy(),
    )
