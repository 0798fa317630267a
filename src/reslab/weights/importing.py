"""From a file of another program to a model that predicts, is evaluated and is trained on."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from reslab import networks
from reslab.artifact import Artifact
from reslab.data.preprocess import Preprocess
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks import NetworkSpec, Stem
from reslab.weights import preparation, transformers_config
from reslab.weights.class_names import class_names
from reslab.weights.convert import Converted, convert
from reslab.weights.layout import ZeroPadding
from reslab.weights.read import Weights, read


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What to import and what the user knows of it.

    Args:
        file: the weights.
        name: the network; None to recognise it.
        layout: whose names the file has; None to recognise it.
        key: entry of a training checkpoint that holds the weights; None for the usual ones.
        stem: the stem, where it is not the network's own.
        zero_padding: where shortcut option A put the new channels; None for the layout's way.
        allow_partial: leave out what does not fit.
        classes: a text file with a class name a line, or None.
        mean: per-channel mean of the training images in [0, 1]; None for the program's own.
        std: per-channel standard deviation, likewise.
        img_size: side of the input in pixels; None for the program's own.
    """

    file: Path
    name: str | None = None
    layout: str | None = None
    key: str | None = None
    stem: Stem | None = None
    zero_padding: ZeroPadding | None = None
    allow_partial: bool = False
    classes: Path | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    img_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Imported:
    """A model from another program, and how it came about.

    Args:
        artifact: network, class names and preprocessing.
        converted: what was recognised, changed and left out.
        notes: everything that was assumed or changed, a sentence each.
    """

    artifact: Artifact
    converted: Converted
    notes: tuple[str, ...]

    __repr__ = short_repr


def import_file(request: Request) -> Imported:
    """Read, recognise and convert a file of weights into a model with all that belongs to it.

    Raises:
        CheckpointError: the file is damaged, holds more than tensors, or fits no network.
        UsageError: values that cannot be used.
    """
    weights = read(request.file, request.key)
    converted = convert(
        weights,
        name=request.name,
        layout=request.layout,
        stem=request.stem,
        zero_padding=request.zero_padding,
        allow_partial=request.allow_partial,
    )
    network, notes = converted.network, list(converted.notes)
    preprocess, changed = _preprocess(request, weights, converted)
    notes.extend(changed)
    network.spec = networks.replace(network.spec, img_size=preprocess.img_size)
    classes, assumed = class_names(
        network.num_classes, preprocess.img_size, weights.config, request.classes
    )
    if assumed:
        notes.append(assumed)
    provenance = _provenance(request, weights, converted, notes)
    return Imported(
        Artifact(network=network, classes=classes, preprocess=preprocess, provenance=provenance),
        converted,
        tuple(notes),
    )


def _preprocess(
    request: Request, weights: Weights, converted: Converted
) -> tuple[Preprocess, list[str]]:
    """Choose how images are prepared, and say what was changed, or taken where nothing is told."""
    spec = converted.network.spec
    if spec.in_chans not in (1, 3):
        raise UsageError(
            f"the network takes {spec.in_chans} channels: images have 1 or 3",
            remedy="use it from Python: reslab.create_model(NAME, pretrained=FILE)",
        )
    told, changed = preparation.from_timm(weights.config, spec)
    if told is None and not changed:
        told, changed = transformers_config.preparation(weights.preprocessor, spec)
    notes = list(changed)
    found = told or converted.layout.preprocess(spec)
    if request.img_size is not None:
        found = _resized(found, request.img_size, spec, converted)
    chosen = [name for name in ("mean", "std") if getattr(request, name) is not None]
    found = dataclasses.replace(found, **{name: getattr(request, name) for name in chosen})
    if told is not None or len(chosen) == 2:
        return found, notes
    notes.append(
        f"the file does not say how images are prepared: taken was what {converted.layout.name} "
        f"does ({_described(found)}); change it with --mean, --std and --img-size"
    )
    return found, notes


def _resized(found: Preprocess, size: int, spec: NetworkSpec, converted: Converted) -> Preprocess:
    """Keep the share that the centre crop cuts off."""
    if size < converted.network.min_size:
        raise UsageError(
            f"{spec.name} needs images of at least {converted.network.min_size} pixels, "
            f"received {size}"
        )
    resize = round(size * found.resize_size / found.img_size)
    return dataclasses.replace(found, img_size=size, resize_size=resize)


def _described(preprocess: Preprocess) -> str:
    mean = ", ".join(f"{value:.4g}" for value in preprocess.mean)
    std = ", ".join(f"{value:.4g}" for value in preprocess.std)
    return (
        f"resize {preprocess.resize_size}, crop {preprocess.img_size}, "
        f"{preprocess.interpolation}, mean {mean}, std {std}"
    )


def _provenance(
    request: Request, weights: Weights, converted: Converted, notes: list[str]
) -> dict[str, Any]:
    with open(weights.path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    layout, name = converted.layout, converted.network.spec.name
    return {
        "imported": {
            "file": weights.path.name,
            "sha256": digest,
            "program": layout.source,
            "layout": layout.name,
            "network": layout.networks.get(name),
            "notes": notes,
            "left_out": list(converted.unplaced),
            "initialised": list(converted.missing),
            "share": converted.share.to_json(),
        }
    }
