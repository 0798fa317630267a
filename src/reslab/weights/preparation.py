"""How the images of other programs' networks are prepared, in our terms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from reslab.data.preprocess import Interpolation, Preprocess
from reslab.spec import NetworkSpec

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Of the CIFAR-10 training images, as the most copied training scripts have them.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2023, 0.1994, 0.2010)

Preparation = Callable[[NetworkSpec], Preprocess]


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


def cifar10(spec: NetworkSpec) -> Preprocess:
    """The whole image, CIFAR-10's mean and std."""
    return _square(spec, spec.img_size, spec.img_size, CIFAR10_MEAN, CIFAR10_STD)


def unit(spec: NetworkSpec) -> Preprocess:
    """The whole image, pixels scaled to [0, 1]."""
    zeros, ones = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return _square(spec, spec.img_size, spec.img_size, zeros, ones)


def from_timm(config: Mapping[str, Any], spec: NetworkSpec) -> Preprocess | None:
    """Read what timm's `config.json` says; None where it says nothing usable."""
    told = config.get("pretrained_cfg", config)
    try:
        size = int(told["input_size"][-1])
        crop = float(told.get("crop_pct") or 1.0)
        mean, std = tuple(map(float, told["mean"])), tuple(map(float, told["std"]))
        interpolation = str(told.get("interpolation", "bilinear"))
        resize = math.floor(size / crop)
        squash = told.get("crop_mode") == "squash"
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not (len(mean) == len(std) == spec.in_chans in (1, 3) and 1 <= size <= resize):
        return None
    known: Interpolation = "bicubic" if interpolation == "bicubic" else "bilinear"
    return Preprocess(
        img_size=size,
        resize_size=resize,
        in_chans=spec.in_chans,
        resize="squash" if squash else "crop",
        interpolation=known,
        mean=mean,
        std=std,
    )


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
