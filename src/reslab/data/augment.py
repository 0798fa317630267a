"""Which random views of training images are taken, as data; `transforms` takes them."""

from __future__ import annotations

import dataclasses

from reslab.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augment:
    """Random views of training images; every value 0 or False switches its step off.

    Args:
        pad_crop: zero padding on each side before a random crop, pixels.
        flip: mirror half of the images left to right.
        alternating_flip: where images are mirrored: each every other time it is visited,
            instead of by chance.
        crop_scale: (least, most) share of the area of a random resized crop; None for none.
        crop_ratio: (least, most) aspect ratio of that crop.
        rotate: greatest rotation either way, degrees.
        jitter: brightness, contrast and saturation factors are drawn from 1 ± this.
        pca_colour: standard deviation of the AlexNet colour shift along the principal
            components of ImageNet's colours.
        erase: probability of erasing a random rectangle.
        mixup: parameter alpha of the Beta distribution; 0 for none.
        cutmix: the same for cut-and-paste; where both are set each image takes one of them.
    """

    pad_crop: int = 0
    flip: bool = False
    alternating_flip: bool = False
    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    rotate: float = 0.0
    jitter: float = 0.0
    pca_colour: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name in ("pad_crop", "rotate", "jitter", "pca_colour", "mixup", "cutmix"):
            _need(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _need(0 <= self.erase <= 1, "erase", self.erase, "in [0, 1]")
        if self.crop_scale is not None:
            low, high = self.crop_scale
            _need(0 < low <= high <= 1, "crop_scale", self.crop_scale, "0 < least <= most <= 1")
        low, high = self.crop_ratio
        _need(0 < low <= high, "crop_ratio", self.crop_ratio, "0 < least <= most")


def _need(condition: bool, name: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{name} must be {allowed}, received {value}")
