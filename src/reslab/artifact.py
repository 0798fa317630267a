"""The reusable model on disk: a folder with `model.json` and `model.safetensors`.

A model that was trained here also has `images.safetensors`: which images it was trained on, by
their content.

Nothing that reads one needs a flag: specification, class names, preprocessing, metrics and
provenance travel with the weights. Nothing is ever unpickled.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch

from reslab import durable, file_kind, networks
from reslab.data.preprocess import Preprocess
from reslab.data.record import FILE as IMAGES
from reslab.data.record import ImageRecord
from reslab.display.short import short_repr
from reslab.errors import CheckpointError, ReslabError
from reslab.networks.network import Network, build

FORMAT_VERSION = 1
MODEL_JSON = "model.json"
WEIGHTS = "model.safetensors"
_MEAN_IMAGE = "preprocess.mean_image"
# What a damaged or forged file can make the readers raise.
_UNREADABLE = (
    AssertionError,
    AttributeError,
    KeyError,
    OverflowError,
    ReslabError,
    RuntimeError,  # and RecursionError
    SafetensorError,
    TypeError,
    ValueError,
)


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A trained network with all that is needed to use and to trust it.

    Args:
        network: the network, in evaluation mode, float32, on the CPU.
        classes: class names in the order of the logits.
        preprocess: how an image becomes its input.
        metrics: what was measured, e.g. ``{"test": {"accuracy_pct": ...}}``.
        provenance: recipe, data fingerprint, environment, command: how it came to be.
        temperature: what logits are divided by for calibrated probabilities.
        images: which images it was trained on; None where that is not known.
    """

    network: Network
    classes: tuple[str, ...]
    preprocess: Preprocess
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    temperature: float = 1.0
    images: ImageRecord | None = None

    __repr__ = short_repr


def save(artifact: Artifact, folder: Path) -> None:
    """Write an artifact so that a crash leaves the old folder or the new one, never a mix.

    Raises:
        CheckpointError: the network is no longer what its specification builds.
        MachineError: the disk is full or cannot be written.
    """
    state = artifact.network.state_dict()
    with torch.device("meta"):
        wanted = build(artifact.network.spec).state_dict()
    if state.keys() != wanted.keys():
        raise CheckpointError(
            f"this {artifact.network.spec.name} has other tensors than its specification says, "
            "so that it could not be read back",
            remedy="save it before folding its batch norms",
        )
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    if artifact.preprocess.mean_image is not None:
        tensors[_MEAN_IMAGE] = torch.tensor(artifact.preprocess.mean_image)
    value = {
        "format": FORMAT_VERSION,
        "spec": networks.to_json(artifact.network.spec),
        "classes": list(artifact.classes),
        "preprocess": artifact.preprocess.to_json(),
        "metrics": _finite(artifact.metrics),
        "provenance": _finite(artifact.provenance),
        "temperature": artifact.temperature,
    }
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files = {
        MODEL_JSON: text.encode("utf-8", "surrogateescape"),
        WEIGHTS: safetensors_torch.save(tensors),
    }
    if artifact.images is not None:
        files[IMAGES] = artifact.images.to_bytes()
    durable.save_directory(folder, files)


def load(path: Path | str) -> Artifact:
    """Read an artifact from its folder, one of its files, or the run it belongs to.

    Raises:
        CheckpointError: there is none, it is damaged, or its weights do not fit its spec.
    """
    folder = find(Path(path))
    try:
        files = durable.read_directory(folder)
    except CheckpointError:
        _refuse_what_is_no_weights(durable.current(folder))
        raise
    try:
        value = json.loads(files[MODEL_JSON].decode("utf-8", "surrogateescape"))
        _check_format(value["format"], folder)
        # pop: the bytes go as soon as the tensors are there, so that memory holds two copies.
        tensors = safetensors_torch.load(files.pop(WEIGHTS))
        loaded = _assemble(value, tensors, where=str(folder))
        if IMAGES not in files:
            return loaded
        record = ImageRecord.from_bytes(files[IMAGES], str(folder / IMAGES))
        return dataclasses.replace(loaded, images=record)
    except CheckpointError:
        raise
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{folder} is not a readable model: {type(error).__name__}: {error}"
        ) from error


def _assemble(
    value: Mapping[str, Any], tensors: dict[str, torch.Tensor], *, where: str
) -> Artifact:
    mean_image = tensors.pop(_MEAN_IMAGE, None)
    preprocess = Preprocess.from_json(
        value["preprocess"],
        None if mean_image is None else mean_image.numpy().astype(np.float32),
    )
    # Without memory of its own the network takes over the tensors instead of copying them.
    with torch.device("meta"):
        network = build(networks.from_json(value["spec"]))
    load_weights(network, tensors, where=where, assign=True)
    classes = tuple(value["classes"])
    if network.spec.num_classes != len(classes) or not all(isinstance(c, str) for c in classes):
        raise CheckpointError(
            f"{where} names {len(classes)} classes for {network.spec.num_classes} logits"
        )
    temperature = float(value["temperature"])
    if not 0 < temperature < math.inf:
        raise CheckpointError(f"{where} has the temperature {temperature}, which is not positive")
    return Artifact(
        network=network.eval(),
        classes=classes,
        preprocess=preprocess,
        metrics=value["metrics"],
        provenance=value["provenance"],
        temperature=temperature,
    )


def _check_format(number: int, folder: Path) -> None:
    """Refuse what only a newer version understands; older formats are migrated here."""
    if number > FORMAT_VERSION:
        raise CheckpointError(
            f"{folder} was written by a newer reslab (format {number}, known up to "
            f"{FORMAT_VERSION})",
            remedy="upgrade reslab",
        )
    if number < 1:
        raise CheckpointError(f"{folder} has the format {number}, which never was")


def find(path: Path) -> Path:
    """Return the folder of the artifact that a path leads to: itself, a file in it, a run."""
    is_file = path.is_file()
    file_kind.refuse_broken_link(path)
    ours = (path.parent / MODEL_JSON).is_file() and path.name in (MODEL_JSON, WEIGHTS)
    if is_file and not ours:
        raise _no_model(path)
    for candidate in [path.parent] if is_file else [path, path / "model"]:
        if (durable.current(candidate) / MODEL_JSON).is_file():
            return candidate
    if not path.exists():
        raise CheckpointError(f"{path} does not exist", remedy="name a run or a model folder")
    if (path / WEIGHTS).exists() or (path / "pytorch_model.bin").exists():
        raise CheckpointError(
            f"{path} holds weights of another program, not a model of reslab",
            remedy=f"reslab weights import {path}, then name the folder that it writes",
        )
    raise CheckpointError(
        f"{path} holds no model ({MODEL_JSON} and {WEIGHTS})",
        remedy="name a run directory, its model folder, or resume the run until it is finished",
    )


def _no_model(path: Path) -> CheckpointError:
    """Say what a file is that was named in place of a model."""
    kind = file_kind.kind_of(path)
    if kind.holds_weights:
        return CheckpointError(
            f"{path} is {kind.what}, not a model of reslab (a folder with {MODEL_JSON} and "
            f"{WEIGHTS})",
            remedy=f"reslab weights import {path}, then name the folder that it writes",
        )
    error = file_kind.refusal(path, kind)
    return CheckpointError(
        error.message, remedy=error.remedy or "name a run or a model folder of reslab"
    )


def _refuse_what_is_no_weights(folder: Path) -> None:
    """Name what lies in place of the weights, such as a pointer of Git LFS."""
    weights = folder / WEIGHTS
    if weights.is_symlink() or weights.is_file():
        kind = file_kind.kind_of(weights)
        if kind.name not in ("safetensors", "cut off", "damaged"):  # the manifest says more
            raise file_kind.refusal(weights, kind)


def load_weights(
    network: torch.nn.Module,
    tensors: Mapping[str, torch.Tensor],
    *,
    where: str,
    assign: bool = False,
) -> None:
    """Load tensors into a network, naming the first keys that do not fit.

    Args:
        network: what receives them.
        tensors: one for each parameter and buffer of the network.
        where: where they come from, for messages.
        assign: take the tensors over instead of copying their values; for a network on the
            meta device.

    Raises:
        CheckpointError: keys are missing or left over, or shapes differ.
    """
    own = network.state_dict()
    wrong = [f"missing {k}" for k in own if k not in tensors]
    wrong += [f"unexpected {k}" for k in tensors if k not in own]
    wrong += [
        f"{k} is {tuple(tensors[k].shape)} but the network has {tuple(own[k].shape)}"
        for k in own
        if k in tensors and tensors[k].shape != own[k].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointError(
            f"the weights in {where} are of another network: {', '.join(wrong[:3])}{more}"
        )
    network.load_state_dict({k: tensors[k].to(own[k].dtype) for k in own}, assign=assign)


def _finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have, by null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
