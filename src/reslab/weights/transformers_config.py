"""What transformers writes beside its weights: `config.json` and `preprocessor_config.json`.

Source: huggingface/transformers, models/resnet and models/convnext, version 5.24.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from reslab.data.preprocess import Interpolation, Preprocess, ResizePolicy
from reslab.errors import UsageError
from reslab.networks import NetworkSpec
from reslab.networks.network import Network
from reslab.networks.resnet import ResNetSpec
from reslab.weights.layout import Layout

NAME = "transformers"
MODEL_TYPE = "resnet"
# Pillow's numbers of its filters.
FILTERS: dict[int, str] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}
# From this size on its ConvNext processor squashes images instead of cutting the centre.
CONVNEXT_SQUASHES_FROM = 384
# A bottleneck puts out four times the channels of its 3x3 convolution.
EXPANSION = 4


def contradiction(config: Mapping[str, Any], layout: Layout, spec: NetworkSpec) -> str:
    """Say what the description tells of another function than that of a network of ours.

    Args:
        config: the JSON object of `config.json`, or empty.
        layout: whose names the weights have.
        spec: our network that they may be.

    Returns:
        Half a sentence, or nothing where the two agree or nothing is told.
    """
    if layout.name != NAME or not config or not isinstance(spec, ResNetSpec):
        return ""
    told = config.get("model_type", MODEL_TYPE)
    if told != MODEL_TYPE:
        return f"its config.json says that it is a {told}, which is not {spec.name}"
    activation = config.get("hidden_act", "relu")
    if activation != "relu":
        return f"its config.json says that its activation is '{activation}', {spec.name} has relu"
    if config.get("downsample_in_first_stage"):
        return f"its config.json says that the first stage subsamples, that of {spec.name} does not"
    first = bool(config.get("downsample_in_bottleneck"))
    if spec.branch == "bottleneck" and first != (spec.stride_on == "1x1"):
        side = "1x1" if first else "3x3"
        return (
            f"its config.json says that a bottleneck's {side} convolution subsamples, in "
            f"{spec.name} it is the {spec.stride_on}"
        )
    return ""


def untold(config: Mapping[str, Any], layout: Layout, spec: NetworkSpec) -> str:
    """Say what was assumed for want of a description, in a sentence, or nothing."""
    is_bottleneck = isinstance(spec, ResNetSpec) and spec.branch == "bottleneck"
    if layout.name != NAME or config or not is_bottleneck:
        return ""
    return (
        "there is no config.json beside the file to say where a bottleneck subsamples: taken was "
        f"its 3x3 convolution, as {NAME} does by default (the 1x1: "
        f"--as {spec.name.removesuffix('_v15')})"
    )


def labels(config: Mapping[str, Any]) -> list[str]:
    """Return the class names in the order of the logits; empty where none are told."""
    table = config.get("id2label")
    if not isinstance(table, Mapping):
        return []
    names = [table.get(str(number)) for number in range(len(table))]
    if not all(isinstance(name, str) for name in names):
        return []
    if all(name == f"LABEL_{number}" for number, name in enumerate(names)):
        return []  # what transformers writes where it knows no names
    return [str(name) for name in names]


def preparation(
    told: Mapping[str, Any], spec: NetworkSpec
) -> tuple[Preprocess | None, tuple[str, ...]]:
    """Read what `preprocessor_config.json` says of images.

    Returns:
        The preparation, None where it says nothing usable; and what had to be changed, a sentence
        each.
    """
    if not told:
        return None, ()
    try:
        size, resize_size, resize = _sizes(told)
        mean, std = _constants(told, spec.in_chans)
        number = int(told.get("resample", 3))
    except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None, (
            "its preprocessor_config.json says nothing usable of how images are prepared",
        )
    notes = []
    interpolation = FILTERS.get(number, str(number))
    if interpolation not in ("bilinear", "bicubic", "box"):
        notes.append(f"images are resized bilinearly: '{interpolation}' is not known here")
        interpolation = "bilinear"
    try:
        found = Preprocess(
            img_size=size,
            resize_size=resize_size,
            in_chans=spec.in_chans,
            resize=resize,
            interpolation=cast(Interpolation, interpolation),
            mean=mean,
            std=std,
        )
    except UsageError as error:
        return None, (f"its preprocessor_config.json cannot be used: {error.message}",)
    return found, tuple(notes)


def _sizes(told: Mapping[str, Any]) -> tuple[int, int, ResizePolicy]:
    """Return the input's side, the side before the crop, and how images get there."""
    if not told.get("do_resize", True):
        raise ValueError
    processor = str(told.get("image_processor_type") or told.get("feature_extractor_type") or "")
    side = told["size"]
    shortest = side.get("shortest_edge") if isinstance(side, Mapping) else None
    square: Any = side.get("height") if isinstance(side, Mapping) else side
    if isinstance(side, Mapping) and shortest is None and side.get("width") != square:
        raise ValueError
    if processor.startswith("ConvNext"):
        size = int(shortest or square)
        if size >= CONVNEXT_SQUASHES_FROM:
            return size, size, "squash"
        return size, math.floor(size / float(told.get("crop_pct") or 224 / 256)), "crop"
    cropped = told.get("crop_size") if told.get("do_center_crop", "crop_size" in told) else None
    if isinstance(cropped, Mapping):
        if cropped["height"] != cropped["width"]:
            raise ValueError
        cropped = cropped["height"]
    if shortest is not None:
        return int(cropped or shortest), int(shortest), "crop"
    return int(cropped or square), int(square), "squash"


def _constants(told: Mapping[str, Any], channels: int) -> tuple[tuple[float, ...], ...]:
    """Return mean and deviation of pixels in 0..1."""
    scaled = told.get("do_rescale", True)
    if not scaled or not math.isclose(float(told.get("rescale_factor", 1 / 255)), 1 / 255):
        raise ValueError
    if not told.get("do_normalize", True):
        return (0.0,) * channels, (1.0,) * channels
    mean, std = tuple(map(float, told["image_mean"])), tuple(map(float, told["image_std"]))
    if len(mean) != channels or len(std) != channels:
        raise ValueError
    return mean, std


def config_of(network: Network, classes: tuple[str, ...]) -> dict[str, Any]:
    """Describe a network as transformers' `config.json` does."""
    spec = network.spec
    assert isinstance(spec, ResNetSpec)
    wider = EXPANSION if spec.branch == "bottleneck" else 1
    return {
        "architectures": ["ResNetForImageClassification"],
        "model_type": MODEL_TYPE,
        "num_channels": spec.in_chans,
        "embedding_size": spec.stem.width,
        "hidden_sizes": [wider * stage.width for stage in spec.stages],
        "depths": [stage.depth for stage in spec.stages],
        "layer_type": spec.branch,
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
        "downsample_in_bottleneck": spec.branch == "bottleneck" and spec.stride_on == "1x1",
        "id2label": {str(number): name for number, name in enumerate(classes)},
        "label2id": {name: number for number, name in enumerate(classes)},
    }


def preprocessor_of(preprocess: Preprocess) -> dict[str, Any]:
    """Describe how images are prepared as transformers' `preprocessor_config.json` does."""
    numbers = {name: number for number, name in FILTERS.items()}
    side, cropped = preprocess.resize_size, preprocess.img_size
    size = {"shortest_edge": side}
    if preprocess.resize == "squash":
        size = {"height": side, "width": side}
    mean = preprocess.mean
    if preprocess.mean_image is not None:
        mean = tuple(float(value) for value in preprocess.mean_image.mean(axis=(0, 1)))
    return {
        "image_processor_type": "BitImageProcessor",
        "do_resize": True,
        "size": size,
        "resample": numbers[preprocess.interpolation],
        "do_center_crop": True,
        "crop_size": {"height": cropped, "width": cropped},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(preprocess.std),
        "do_convert_rgb": preprocess.in_chans == 3,
    }


def notes_of(preprocess: Preprocess) -> tuple[str, ...]:
    """Say what transformers will do otherwise with images, a sentence each."""
    notes = []
    if preprocess.mean_image is not None:
        notes.append("transformers has no mean image: its mean in each channel was written instead")
    if preprocess.resize == "pad":
        notes.append("transformers does not pad images: it cuts their centre")
    return tuple(notes)
