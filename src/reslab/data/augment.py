"""Which random views of training images are taken, as data; `transforms` takes them."""

from __future__ import annotations

import dataclasses
from typing import TypedDict

from reslab.aliases import accept_old_names
from reslab.settings import PROBABILITY, at_least, check_settings, need, setting

VIEWS = "random views"


@accept_old_names
@dataclasses.dataclass(frozen=True, kw_only=True)
class Augment:
    """Random views of training images; every value 0 or False switches its step off.

    Raises:
        UsageError: a value is not among those that its setting takes.
    """

    pad_crop: int = setting(
        0,
        "zero padding on each side before a random crop, pixels",
        at_least(0),
        group=VIEWS,
        metavar="PX",
        phrase="crops after padding by {} px",
    )
    flip: bool = setting(
        False, "flip half of the images left to right", group=VIEWS, phrase="mirroring"
    )
    alternating_flip: bool = setting(
        False,
        "with --flip: flip each image every other time it is seen, instead of at random",
        group=VIEWS,
        phrase="mirroring every other time",
    )
    crop_scale: tuple[float, float] | None = setting(
        None,
        "random resized crop: minimum and maximum share of the area, as 0.5,1",
        group=VIEWS,
        metavar="A,B",
        phrase="resized crops of {0[0]:.0%} to {0[1]:.0%} of the area",
    )
    crop_ratio: tuple[float, float] = setting(
        (3 / 4, 4 / 3),
        "random resized crop: minimum and maximum aspect ratio, as 0.8,1.25",
        group=VIEWS,
        metavar="A,B",
    )
    rotate: float = setting(
        0.0,
        "maximum rotation in either direction, degrees",
        at_least(0),
        group=VIEWS,
        metavar="DEG",
        phrase="rotation by up to {:g}°",
    )
    color_jitter: float = setting(
        0.0,
        "brightness, contrast and saturation by factors from 1 ± this",
        at_least(0),
        group=VIEWS,
        metavar="J",
        phrase="color jitter {:g}",
    )
    pca_color: float = setting(
        0.0,
        "standard deviation of AlexNet's shift along the principal components of colors",
        at_least(0),
        group=VIEWS,
        metavar="S",
        phrase="PCA color shifts {:g}",
    )
    random_erasing: float = setting(
        0.0,
        "probability of erasing a random rectangle",
        PROBABILITY,
        group=VIEWS,
        metavar="P",
        phrase="erasing with probability {:g}",
    )
    mixup: float = setting(
        0.0,
        "alpha of mixup's Beta distribution",
        at_least(0),
        group=VIEWS,
        metavar="ALPHA",
        phrase="mixup {:g}",
    )
    cutmix: float = setting(
        0.0,
        "the same for cut-and-paste; with --mixup each image takes one of them",
        at_least(0),
        group=VIEWS,
        metavar="ALPHA",
        phrase="cutmix {:g}",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.crop_scale is not None:
            low, high = self.crop_scale
            need(0 < low <= high <= 1, "crop_scale", self.crop_scale, "0 < least <= most <= 1")
        low, high = self.crop_ratio
        need(0 < low <= high, "crop_ratio", self.crop_ratio, "0 < least <= most")


class AugmentFields(TypedDict, total=False):
    """The fields of `Augment` as keywords, for editors and type checkers; a test compares them."""

    pad_crop: int
    flip: bool
    alternating_flip: bool
    crop_scale: tuple[float, float] | None
    crop_ratio: tuple[float, float]
    rotate: float
    color_jitter: float
    pca_color: float
    random_erasing: float
    mixup: float
    cutmix: float
