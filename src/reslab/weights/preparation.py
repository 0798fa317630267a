"""How the images of other programs' networks are prepared, in our terms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, cast, get_args

from reslab.data.preprocess import BORDER, Interpolation, Preprocess
from reslab.errors import UsageError
from reslab.networks import NetworkSpec

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Of the CIFAR-10 training images, as the most copied training scripts have them.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2023, 0.1994, 0.2010)


def imagenet(spec: NetworkSpec) -> Preprocess:
    """Short side to 8/7 of the input (256 for 224), centre crop, ImageNet's mean and std.

    Images of less than 128 pixels are not cut.
    """
    size = spec.img_size
    resize = size if size < 128 else math.floor(size / 0.875)
    return _square(spec, size, resize, IMAGENET_MEAN, IMAGENET_STD)


def halved(spec: NetworkSpec) -> Preprocess:
    """As `imagenet`, but pixels scaled to [-1, 1]."""
    half = (0.5,) * spec.in_chans
    return dataclasses.replace(imagenet(spec), mean=half, std=half)


def inception(spec: NetworkSpec) -> Preprocess:
    """Short side to 8/7 of the input, bicubic, centre crop, pixels scaled to [-1, 1]."""
    size = spec.img_size
    half = (0.5, 0.5, 0.5)
    return _square(spec, size, math.floor(size / 0.875), half, half, "bicubic")


def bicubic(spec: NetworkSpec) -> Preprocess:
    """As `imagenet`, but resized bicubically: transformers' ConvNext processor."""
    return dataclasses.replace(imagenet(spec), interpolation="bicubic")


def cifar10(spec: NetworkSpec) -> Preprocess:
    """The whole image, CIFAR-10's mean and std."""
    return _square(spec, spec.img_size, spec.img_size, CIFAR10_MEAN, CIFAR10_STD)


def unit(spec: NetworkSpec) -> Preprocess:
    """The whole image, pixels scaled to [0, 1]."""
    zeros, ones = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return _square(spec, spec.img_size, spec.img_size, zeros, ones)


def from_timm(
    config: Mapping[str, Any], spec: NetworkSpec
) -> tuple[Preprocess | None, tuple[str, ...]]:
    """Read what timm's `config.json` says.

    Returns:
        The preparation, None where it says nothing usable; and what had to be changed, a sentence
        each.
    """
    told = config.get("pretrained_cfg", config)
    try:
        size = int(told["input_size"][-1])
        crop = float(told.get("crop_pct") or 1.0)
        mean, std = tuple(map(float, told["mean"])), tuple(map(float, told["std"]))
        interpolation = str(told.get("interpolation") or "bilinear")
        resize = math.floor(size / crop)
        mode = told.get("crop_mode")
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None, ()
    if not (len(mean) == len(std) == spec.in_chans in (1, 3) and 1 <= size <= resize):
        return None, ()
    notes = []
    if interpolation not in get_args(Interpolation):
        notes.append(f"images are resized bilinearly: '{interpolation}' is not known here")
        interpolation = "bilinear"
    try:
        found = Preprocess(
            img_size=size,
            resize_size=resize,
            in_chans=spec.in_chans,
            resize="squash" if mode == "squash" else "pad" if mode == "border" else "crop",
            interpolation=cast(Interpolation, interpolation),
            mean=mean,
            std=std,
        )
    except UsageError as error:
        return None, (f"what timm's description says of images cannot be used: {error.message}",)
    if found.resize == "pad" and timm_border(mean) != BORDER:
        notes.append("images are padded with mid-grey, not with the mean colour as in timm")
    return found, tuple(notes)


def timm_border(mean: tuple[float, ...]) -> int | None:
    """Return the grey in 0..255 that timm pads with, None where it is a colour."""
    fill = {round(255 * value) for value in mean}
    return fill.pop() if len(fill) == 1 else None


def _square(
    spec: NetworkSpec,
    size: int,
    resize: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    interpolation: Interpolation = "bilinear",
) -> Preprocess:
    """Cut centrally rather than squash; a grey network gets the mean over the colours."""
    if spec.in_chans == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Preprocess(
        img_size=size,
        resize_size=resize,
        in_chans=spec.in_chans,
        resize="crop",
        interpolation=interpolation,
        mean=mean,
        std=std,
    )
