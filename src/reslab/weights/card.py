"""The page that a model has on a hub: what it is, how good, from what, how to use it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from reslab import networks
from reslab.artifact import Artifact
from reslab.data.preprocess import Preprocess
from reslab.display import names

SHOWN_CLASSES = 100
# What a run records that says more about its owner's machine than about the model.
PRIVATE = ("command", "data", "data_options")


def published(artifact: Artifact) -> Artifact:
    """Return a model without what only concerns the machine that it was trained on.

    Left out are the command line, the path of the data, the names of excluded images (of which
    the number stays), and the digests of the images, by which who has an image could tell whether
    it was among them.
    """
    provenance = {key: value for key, value in artifact.provenance.items() if key not in PRIVATE}
    dataset = provenance.get("dataset")
    if isinstance(dataset, Mapping) and "excluded" in dataset:
        provenance["dataset"] = {**dataset, "excluded": len(dataset["excluded"])}
    return dataclasses.replace(artifact, provenance=provenance, images=None)


def model_card(artifact: Artifact, *, repo: str, licence: str | None = None) -> str:
    """Write a hub's README.md for a model.

    Args:
        artifact: the model.
        repo: where it will be, ``owner/name``.
        licence: identifier of its licence; None leaves a place for it.
    """
    spec = artifact.network.spec
    parts = [
        _header(licence),
        f"# {repo.rsplit('/', 1)[-1]}",
        f"An image classifier: {spec.name}, {_count(artifact)} parameters, "
        f"{spec.num_classes} classes, images of {spec.img_size} pixels. "
        f"{_source(spec.name)}Made with reslab.",
        "## How good it is\n\n" + _metrics(artifact.metrics),
        "## How to use it\n\n" + _usage(spec.name, repo),
        "## Images\n\n" + _preprocessing(artifact.preprocess),
        "## Classes\n\n" + _classes(artifact.classes),
        "## Where it comes from\n\n" + _provenance(artifact.provenance),
        "## Files\n\n`model.safetensors` (weights), `model.json` (network, classes, preprocessing, "
        "metrics, provenance), `manifest.json` (sizes and hashes of both).",
        "## Licence\n\n" + (licence or "None was stated: ask its author before you use it."),
    ]
    return "\n\n".join(parts) + "\n"


def _header(licence: str | None) -> str:
    lines = ["library_name: reslab", "pipeline_tag: image-classification"]
    lines += ["tags:", "- image-classification", "- reslab"]
    if licence:
        lines.append(f"license: {json.dumps(licence)}")
    return "\n".join(["---", *lines, "---"])


def _count(artifact: Artifact) -> str:
    return f"{sum(p.numel() for p in artifact.network.parameters()):,}"


def _source(name: str) -> str:
    if name not in networks.list_models():
        return ""
    info = networks.info(name)
    differs = "".join(f" It differs from the paper: {text}." for text in info.deviations)
    return f"The network is described in {info.source}.{differs} "


def _metrics(metrics: Mapping[str, Any]) -> str:
    rows = []
    for split, value in metrics.items():
        if not isinstance(value, Mapping) or "ci95_pct" not in value:
            continue
        low, high = value["ci95_pct"]
        rows.append(
            [
                split,
                f"{value['num_images']:,}",
                f"{value['accuracy_pct']:.2f} %",
                f"{low:.2f} to {high:.2f} %",
                f"{value['top5_pct']:.2f} % (top {value['top_k']})",
                f"{value['ece_pct']:.2f} %",
            ]
        )
    if not rows:
        return "Nothing was measured with reslab."
    heads = ["split", "images", "accuracy", "95% interval", "top k", "calibration error"]
    return _table(heads, rows)


def _usage(name: str, repo: str) -> str:
    folder = repo.rsplit("/", 1)[-1]
    return (
        f"```\nreslab weights pull {repo}\nreslab predict {folder} photo.jpg\n"
        f"reslab train photos/ --start {folder}\n```\n\n"
        "```python\nimport reslab\n\n"
        f'network = reslab.create_model("{name}", pretrained="hf-hub:{repo}")\n```'
    )


def _preprocessing(preprocess: Preprocess) -> str:
    how = {
        "squash": "Every image is resized to a square, whatever its aspect ratio",
        "crop": "The central square of every image is resized",
        "pad": "Every image is resized and padded with grey to a square",
    }[preprocess.resize]
    size, cut = preprocess.resize_size, preprocess.img_size
    cropped = f" and the central {cut} pixels are taken" if cut < size else ""
    colour = "grey" if preprocess.in_chans == 1 else "RGB"
    minus = "the mean image" if preprocess.mean_image is not None else _numbers(preprocess.mean)
    return (
        f"{how}, to {size} pixels ({preprocess.interpolation}){cropped}; {colour} values in 0 to 1 "
        f"less {minus}, divided by {_numbers(preprocess.std)}. reslab does this by itself."
    )


def _classes(classes: tuple[str, ...]) -> str:
    shown = ", ".join(names.shown(name) for name in classes[:SHOWN_CLASSES])
    more = len(classes) - SHOWN_CLASSES
    return shown + (f" and {more} more (`model.json`)" if more > 0 else "")


def _provenance(provenance: Mapping[str, Any]) -> str:
    if "imported" in provenance:
        told = provenance["imported"]
        return (
            f"Weights of {told['program']}, from the file `{told['file']}` (SHA-256 "
            f"`{told['sha256']}`); not trained with reslab."
        )
    rows = []
    dataset = provenance.get("dataset", {})
    if dataset:
        counts = ", ".join(f"{key} {value:,}" for key, value in dataset.get("counts", {}).items())
        rows += [["data", f"{dataset.get('name', '')} ({counts} images)"]]
        rows += [["fingerprint of the data", f"`{dataset.get('fingerprint', '')}`"]]
        rows += [["images excluded", str(dataset.get("excluded", 0) or 0)]]
    recipe = provenance.get("recipe", {})
    for key in ("name", "epochs", "batch_size", "optimizer", "lr", "schedule", "weight_decay"):
        if key in recipe:
            rows.append([f"recipe: {key.replace('_', ' ')}", str(recipe[key])])
    for key in ("seed", "reslab"):
        if key in provenance:
            rows.append([key, str(provenance[key])])
    for key in ("torch", "device", "precision"):
        if key in provenance.get("environment", {}):
            rows.append([key, str(provenance["environment"][key])])
    return _table(["", ""], rows) if rows else "Nothing is recorded."


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
                     for row in lines)  # fmt: skip


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
