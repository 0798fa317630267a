"""The reusable model on disk: a folder with `model.json` and `model.safetensors`.

Nothing that reads one needs a flag: specification, class names, preprocessing, metrics and
provenance travel with the weights. Nothing is ever unpickled.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch

from reslab import durable, spec
from reslab.data.preprocess import Preprocess
from reslab.errors import CheckpointError, ReslabError
from reslab.nn import Network, build

FORMAT_VERSION = 1
MODEL_JSON = "model.json"
WEIGHTS = "model.safetensors"
_MEAN_IMAGE = "preprocess.mean_image"


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
    """

    network: Network
    classes: tuple[str, ...]
    preprocess: Preprocess
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    temperature: float = 1.0


def save(artifact: Artifact, folder: Path) -> None:
    """Write an artifact so that a crash leaves the old folder or the new one, never a mix.

    Raises:
        MachineError: the disk is full or cannot be written.
    """
    tensors = {k: v.detach().contiguous() for k, v in artifact.network.state_dict().items()}
    if artifact.preprocess.mean_image is not None:
        tensors[_MEAN_IMAGE] = torch.from_numpy(artifact.preprocess.mean_image).clone()
    value = {
        "format": FORMAT_VERSION,
        "spec": spec.to_json(artifact.network.spec),
        "classes": list(artifact.classes),
        "preprocess": artifact.preprocess.to_json(),
        "metrics": artifact.metrics,
        "provenance": artifact.provenance,
        "temperature": artifact.temperature,
    }
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    durable.save_directory(
        folder,
        {
            MODEL_JSON: text.encode("utf-8", "surrogateescape"),
            WEIGHTS: safetensors_torch.save(tensors),
        },
    )


def load(path: Path | str) -> Artifact:
    """Read an artifact from its folder, one of its files, or the run it belongs to.

    Raises:
        CheckpointError: there is none, it is damaged, or its weights do not fit its spec.
    """
    folder = find(Path(path))
    files = durable.read_directory(folder)
    try:
        value = json.loads(files[MODEL_JSON].decode("utf-8", "surrogateescape"))
        tensors = safetensors_torch.load(files[WEIGHTS])
        if value["format"] > FORMAT_VERSION:
            raise CheckpointError(
                f"{folder} was written by a newer reslab (format {value['format']})",
                remedy="upgrade reslab",
            )
        mean_image = tensors.pop(_MEAN_IMAGE, None)
        preprocess = Preprocess.from_json(
            value["preprocess"],
            None if mean_image is None else mean_image.numpy().astype(np.float32),
        )
        network = build(spec.from_json(value["spec"]))
        load_weights(network, tensors, where=str(folder))
        return Artifact(
            network=network.eval(),
            classes=tuple(value["classes"]),
            preprocess=preprocess,
            metrics=value["metrics"],
            provenance=value["provenance"],
            temperature=float(value["temperature"]),
        )
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AssertionError, SafetensorError, ReslabError) as error:
        raise CheckpointError(f"{folder} is not a readable model: {error}") from error


def find(path: Path) -> Path:
    """Return the folder of the artifact that a path leads to: itself, a file in it, a run."""
    candidates = [path, path / "model"] if path.is_dir() else [path.parent]
    for candidate in candidates:
        if (candidate / MODEL_JSON).is_file() and (path.is_dir() or path.name in (MODEL_JSON, WEIGHTS)):
            return candidate
    if not path.exists():
        raise CheckpointError(f"{path} does not exist", remedy="name a run or a model folder")
    raise CheckpointError(
        f"{path} holds no model ({MODEL_JSON} and {WEIGHTS})",
        remedy="name a run directory, its model folder, or resume the run until it is finished",
    )


def load_weights(
    network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], *, where: str
) -> None:
    """Load tensors into a network, naming the first keys that do not fit.

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
    network.load_state_dict(dict(tensors))
