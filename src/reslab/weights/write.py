"""Files of weights as other programs read them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors_torch

from reslab import durable
from reslab.artifact import Artifact
from reslab.data.preprocess import BORDER, Preprocess
from reslab.errors import UsageError
from reslab.networks.resnet import ResNetSpec
from reslab.weights import transformers_config
from reslab.weights.convert import to_layout
from reslab.weights.layout import Layout
from reslab.weights.layouts import TIMM, TRANSFORMERS
from reslab.weights.preparation import timm_border
from reslab.weights.read import CONFIG, PREPROCESSOR_CONFIG

WRITTEN = (".safetensors", ".pth", ".pt")
# Programs that read a folder of weights and descriptions.
FOLDERS = (TIMM, TRANSFORMERS)
CROP_MODES = {"squash": "squash", "crop": "center", "pad": "border"}


def export_file(artifact: Artifact, layout: Layout, out: Path) -> tuple[Path, ...]:
    """Write a model's weights under another program's names.

    Args:
        artifact: the model.
        layout: whose names.
        out: a .safetensors, .pth or .pt file. For timm and transformers also a folder: it gets
            `model.safetensors` and the descriptions with classes and preprocessing that
            ``timm.create_model("local-dir:FOLDER", pretrained=True)`` or transformers'
            ``AutoModelForImageClassification.from_pretrained(FOLDER)`` reads.

    Returns:
        The files that were written.

    Raises:
        UsageError: the program has no such network, another suffix, or the file exists.
        MachineError: the disk is full or cannot be written.
    """
    tensors = to_layout(artifact.network, layout)
    if out.suffix == "" and layout in FOLDERS:
        _refuse_to_replace(out)
        files = {"model.safetensors": _safetensors(tensors)}
        for name, value in descriptions(artifact, layout).items():
            files[name] = (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
        durable.save_directory(out, files)
        return tuple(out / name for name in files)
    if out.suffix not in WRITTEN:
        folder = " or, for timm and transformers, a folder" if layout in FOLDERS else ""
        raise UsageError(
            f"cannot write weights to {out}", remedy=f"name a {', '.join(WRITTEN)} file{folder}"
        )
    _refuse_to_replace(out)
    data = _safetensors(tensors) if out.suffix == ".safetensors" else _pickled(tensors)
    durable.write_file(out, data)
    return (out,)


def descriptions(artifact: Artifact, layout: Layout) -> dict[str, dict[str, Any]]:
    """Return what the program reads beside its weights: file name -> JSON object."""
    if layout is TIMM:
        return {CONFIG: timm_config(artifact)}
    return {
        CONFIG: transformers_config.config_of(artifact.network, artifact.classes),
        PREPROCESSOR_CONFIG: transformers_config.preprocessor_of(artifact.preprocess),
    }


def export_notes(artifact: Artifact, layout: Layout, files: Sequence[Path]) -> tuple[str, ...]:
    """Say what the written files cannot hold or leave open, a sentence each."""
    spec = artifact.network.spec
    if layout is TRANSFORMERS:
        if len(files) > 1:
            return transformers_config.notes_of(artifact.preprocess)
        if isinstance(spec, ResNetSpec) and spec.branch == "bottleneck":
            on_first = spec.stride_on == "1x1"
            return (f"load it into a network with downsample_in_bottleneck={on_first}",)
    return timm_notes(artifact) if layout is TIMM and len(files) > 1 else ()


def timm_config(artifact: Artifact) -> dict[str, Any]:
    """Describe a model as timm's `config.json` does."""
    spec, preprocess = artifact.network.spec, artifact.preprocess
    return {
        "architecture": TIMM.networks[spec.name],
        "num_classes": spec.num_classes,
        "num_features": artifact.network.num_features,
        "pretrained_cfg": {
            "num_classes": spec.num_classes,
            "input_size": [spec.in_chans, preprocess.img_size, preprocess.img_size],
            "crop_pct": preprocess.img_size / preprocess.resize_size,
            "crop_mode": CROP_MODES[preprocess.resize],
            "interpolation": preprocess.interpolation,
            "mean": list(_mean_of(preprocess)),
            "std": list(preprocess.std),
        },
        "label_names": list(artifact.classes),
    }


def timm_notes(artifact: Artifact) -> tuple[str, ...]:
    """Say what timm will do otherwise with images, a sentence each: its description lacks it."""
    preprocess, notes = artifact.preprocess, []
    if preprocess.mean_image is not None:
        notes.append("timm has no mean image: its mean in each channel was written instead")
    if preprocess.resize == "pad" and timm_border(_mean_of(preprocess)) != BORDER:
        notes.append("timm pads images with the mean colour, not with mid-grey")
    return tuple(notes)


def _mean_of(preprocess: Preprocess) -> tuple[float, ...]:
    """Return the mean of each channel, that of the mean image where there is one."""
    if preprocess.mean_image is None:
        return preprocess.mean
    return tuple(float(value) for value in preprocess.mean_image.mean(axis=(0, 1)))


def _safetensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    return safetensors_torch.save(dict(tensors), metadata={"format": "pt"})


def _pickled(tensors: Mapping[str, torch.Tensor]) -> memoryview:
    buffer = io.BytesIO()
    torch.save(dict(tensors), buffer)
    return buffer.getbuffer()


def _refuse_to_replace(out: Path) -> None:
    if out.exists():
        raise UsageError(f"{out} exists already", remedy="choose another name")
