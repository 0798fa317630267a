"""Run directories as the trainer writes them, around predictions that were really made.

A logistic regression is fitted to the digits, epoch by epoch, so that curves, mistakes and
confidences are those of a real model; what belongs to a network (its spec) is written down.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from reslab.data.dataset import ArrayImages, Dataset
from reslab.data.preprocess import Preprocess
from reslab.data.sources.named import open_digits
from reslab.data.split import complete_splits, splits_to_json
from reslab.evaluate.evaluation import Evaluation, fit_temperature
from reslab.evaluate.statistics import softmax
from reslab.training.recipe import Augment, Recipe
from reslab.training.recipe import to_json as recipe_to_json

COLUMNS = (
    "epoch", "step", "lr", "train_loss", "train_error_pct", "val_loss", "val_error_pct",
)  # fmt: skip
CHOICES = [
    {"what": "model", "chosen": "resnet20", "why": "images of 8 px are too small for a stem "
     "that shrinks them; twenty layers learn 1,150 images in well under a minute"},
    {"what": "recipe", "chosen": "small-images", "why": "fewer than 64 px a side, from scratch"},
    {"what": "epochs", "chosen": "30", "why": "about 300 updates: enough for a set of this size"},
    {"what": "batch size", "chosen": "128", "why": "at least eight updates an epoch"},
    {"what": "flip", "chosen": "off", "why": "classes look like digits or letters, which have "
     "a handedness"},
]  # fmt: skip
FINDINGS: list[dict[str, Any]] = [
    {"kind": "duplicate-within", "severity": "warning", "message": "2 images of train are the "
     "same", "paths": ["digits[17]", "digits[430]"], "remedy": "keep one of them"},
    {"kind": "tiny-class", "severity": "warning", "message": "class '8' has few images",
     "paths": ["8"], "remedy": "collect more, or expect a wide interval"},
]  # fmt: skip


@dataclasses.dataclass
class Softmax:
    """Logistic regression by momentum SGD: small, real, and trained epoch by epoch."""

    weights: np.ndarray
    velocity: np.ndarray

    def step(self, x: np.ndarray, target: np.ndarray, lr: float) -> None:
        gradient = x.T @ (softmax(x @ self.weights) - target) / len(x)
        self.velocity = 0.9 * self.velocity + gradient + 1e-4 * self.weights
        self.weights = self.weights - lr * self.velocity

    def loss_and_error(self, x: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        chance = softmax(x @ self.weights)
        own = chance[np.arange(len(x)), labels]
        return float(-np.log(own).mean()), 100 * float((chance.argmax(1) != labels).mean())


def digits(classes: Sequence[str] | None = None) -> Dataset:
    """Return digits with a validation split; the classes may be called otherwise."""
    dataset = complete_splits(open_digits(), val_fraction=0.15, seed=0)
    return dataclasses.replace(dataset, classes=tuple(classes)) if classes else dataset


def two_classes() -> Dataset:
    """Return the digits 1 and 8 as a data set of their own."""
    whole = open_digits()
    keep = np.flatnonzero(np.isin(whole.labels, [1, 8]))
    images = whole.images
    assert isinstance(images, ArrayImages)
    return complete_splits(
        Dataset(
            name="one or eight",
            classes=("one", "eight"),
            images=ArrayImages(images.pixels[keep], label="pair"),
            labels=(whole.labels[keep] == 8).astype(np.int64),
            splits={},
        ),
        val_fraction=0.15,
        seed=0,
    )


def many_classes(count: int = 100, each: int = 24, side: int = 16) -> Dataset:
    """Return noisy colour patterns of many classes, some of which resemble each other."""
    generator = np.random.default_rng(0)
    families = generator.uniform(0, 255, (count // 5, side, side, 3))
    own = generator.uniform(-70, 70, (count, side, side, 3))
    centres = np.repeat(families, 5, axis=0)[:count] + own
    labels = np.repeat(np.arange(count), each)
    pixels = centres[labels] + generator.normal(0, 230, (len(labels), side, side, 3))
    words = ("amber", "birch", "coral", "dune", "ember", "fern", "glade", "heath", "iris", "jade")
    names = sorted(f"{a} {b}" for a in words for b in words)[:count]
    dataset = Dataset(
        name="hundred patterns",
        classes=tuple(names),
        images=ArrayImages(pixels.clip(0, 255).astype(np.uint8), label="pattern"),
        labels=labels.astype(np.int64),
        splits={},
    )
    return complete_splits(dataset, val_fraction=0.1, test_fraction=0.4, seed=0)


def make_run(
    folder: Path,
    dataset: Dataset,
    *,
    epochs: int = 30,
    network: str = "resnet20",
    change: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Train on a data set and write everything that a finished run holds.

    Args:
        folder: the run directory to make.
        dataset: with train, val and test.
        epochs: passes over train.
        network: name to write down.
        change: may edit the configuration before it is written.
    """
    (folder / "evaluation").mkdir(parents=True)
    pixels = np.stack([dataset.images.read(i) for i in range(len(dataset.images))])
    x = pixels.reshape(len(pixels), -1) / 255.0
    x = np.hstack([x - x.mean(0), np.ones((len(x), 1))])
    config = configuration(folder, dataset, pixels.shape, epochs, network)
    if change:
        change(config)
    rows, model = _train(dataset, x, epochs)
    write_json(folder / "config.json", config)
    text = (
        ",".join(COLUMNS)
        + "\n"
        + "".join(",".join(format(v, ".6g") for v in row) + "\n" for row in rows)
    )
    (folder / "results.csv").write_text(text)
    events: list[dict[str, Any]] = [{"event": "note", "text": "cheap checks passed"}]
    speeds = 1900 + 60 * np.sin(np.arange(epochs)) - 500 * (np.arange(epochs) == 0)
    for k, (row, speed) in enumerate(zip(rows, speeds, strict=True)):
        events.append({"event": "epoch", "epoch": row[0], "step": row[1],
                       "elapsed_s": 1.2 * (k + 1), "images_per_s": float(speed)})  # fmt: skip
    (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    write_json(folder / "status.json", {
        "state": "finished", "step": rows[-1][1], "total_steps": rows[-1][1], "epoch": epochs,
        "message": "", "exit_code": 0, "wall_s": 37.9, "train_images_per_s": 1893.4,
    })  # fmt: skip
    write_json(folder / "check.json", {
        "ok": True, "num_images": len(pixels), "classes": list(dataset.classes),
        "findings": FINDINGS,
    })  # fmt: skip
    write_json(folder / "split.json", splits_to_json(dataset))
    temperature = 1.0
    for name in ("val", "test"):
        samples = dataset.splits[name]
        logits = (x[samples] @ model.weights * 3.0).astype(np.float32)
        write_evaluation(folder, name, logits, dataset.labels[samples], samples, dataset.classes)
        if name == "val":
            temperature = fit_temperature(logits, dataset.labels[samples])
    (folder / "model").mkdir()
    write_json(folder / "model" / "model.json", {"temperature": temperature})
    return folder


def configuration(
    folder: Path, dataset: Dataset, shape: tuple[int, ...], epochs: int, network: str
) -> dict[str, Any]:
    """Return config.json of a run on a data set."""
    channels = shape[3] if len(shape) == 4 else 1
    recipe = Recipe(
        name="small-images", epochs=epochs, nesterov=True, weight_decay=5e-4,
        schedule="one-cycle", warmup_steps=60, label_smoothing=0.05,
        augment=Augment(pad_crop=1, rotate=8, random_erasing=0.1),
    )  # fmt: skip
    preprocess = Preprocess(
        img_size=shape[1], resize_size=shape[1], in_chans=channels,
        mean=(0.3,) * channels, std=(0.37,) * channels,
    )  # fmt: skip
    return {
        "reslab": "0.1.0",
        "command": ["/usr/local/bin/reslab", "train", "digits", "--out", str(folder)],
        "data": "digits",
        "dataset": {
            "name": dataset.name,
            "classes": list(dataset.classes),
            "counts": {name: len(indices) for name, indices in dataset.splits.items()},
            "fingerprint": dataset.fingerprint(),
            "note": dataset.note,
            "excluded": dict(dataset.excluded),
        },
        "spec": {"kind": "resnet", "name": network, "num_classes": len(dataset.classes),
                 "in_chans": channels, "img_size": shape[1], "dropout": 0.0,
                 "stem": {"width": 16, "kernel": 3, "stride": 1, "max_pool": False},
                 "stages": [{"width": w, "depth": 3, "stride": s}
                            for w, s in ((16, 1), (32, 2), (64, 2))],
                 "branch": "basic", "shortcut": "A", "stride_on": "1x1"},
        "recipe": recipe_to_json(recipe),
        "choices": CHOICES,
        "preprocess": preprocess.to_json(),
        "seed": 0,
        "cost": {"params": 269_434, "macs": 2_533_696},
        "environment": {"python": "3.11.2", "torch": "2.13.0+cpu", "system": "Linux x86_64",
                        "cpu": "a processor of two cores", "device": "cpu",
                        "precision": "float32", "threads": 2},
    }  # fmt: skip


def write_evaluation(
    folder: Path, name: str, logits: np.ndarray, labels: np.ndarray, samples: np.ndarray,
    classes: Sequence[str],
) -> None:  # fmt: skip
    """Write what the trainer keeps of an evaluation."""
    tensors = {
        "logits": np.ascontiguousarray(logits),
        "labels": np.ascontiguousarray(labels),
        "samples": np.ascontiguousarray(samples),
    }
    save_file(tensors, folder / "evaluation" / f"{name}.safetensors")
    value = Evaluation(**tensors, classes=tuple(classes)).to_json()
    write_json(folder / "evaluation" / f"{name}.json", value)


def write_json(path: Path, value: Any) -> None:
    """Write JSON as the trainer does: bytes of odd file names survive."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def _train(dataset: Dataset, x: np.ndarray, epochs: int) -> tuple[list[list[float]], Softmax]:
    train, val = dataset.splits["train"], dataset.splits["val"]
    shape = (x.shape[1], len(dataset.classes))
    model = Softmax(np.zeros(shape), np.zeros(shape))
    target = np.eye(len(dataset.classes))
    generator = np.random.default_rng(0)
    rows, step = [], 0
    for epoch in range(epochs):
        lr = 0.4 * (1 - np.cos(2 * np.pi * (epoch + 0.5) / epochs)) / 2 + 1e-4
        order = generator.permutation(train)
        for start in range(0, len(order), 128):
            batch = order[start : start + 128]
            model.step(x[batch], target[dataset.labels[batch]], lr)
            step += 1
        losses = (
            *model.loss_and_error(x[train], dataset.labels[train]),
            *model.loss_and_error(x[val], dataset.labels[val]),
        )
        rows.append([epoch + 1, step, lr, *losses])
    return rows, model


def decode(uri: str) -> Image.Image:
    """Open a picture of a page."""
    head, data = uri.split(",", 1)
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))
