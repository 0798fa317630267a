"""A finished run -> the numbers that a study compares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reslab import machine
from reslab.data.loader import eval_batches
from reslab.evaluate.evaluation import Evaluation
from reslab.evaluate.metrics import columns_of
from reslab.evaluate.run import evaluate_network
from reslab.runs.config import Config
from reslab.runs.run import Run
from reslab.study.study import Measured
from reslab.training.distributed import World
from reslab.training.evaluating import EVAL_BATCH
from reslab.training.inputs import fitted_images

MOST_MEASURED = 10_000


def measure_run(run_dir: Path) -> dict[str, float]:
    """Measure the finished network on training, validation and test images, in evaluation mode.

    The training images are seen without augmentation; of more than 10,000, 10,000 that are
    spread evenly over them (train_images_measured tells how many).

    Returns:
        The metrics that `RunOutcome` lists.
    """
    run = Run(run_dir)
    config, status = run.read_config(), run.status
    found = evaluations(run, config)
    metrics: dict[str, float] = {
        "params": config.cost["params"],
        "macs": config.cost["macs"],
        "steps": status["step"],
        "wall_s": status["wall_s"],
        "train_images_per_s": status["train_images_per_s"],
        "train_images_measured": len(found["train"]),
    }
    for split, evaluation in found.items():
        metrics |= columns_of(evaluation, split, "study")
    if run.rows:
        metrics["running_train_error_pct"] = run.rows[-1]["train_error_pct"]
    return metrics


def evaluations(run: Run, config: Config) -> dict[str, Evaluation]:
    """Evaluate a run's model on each of its splits."""
    dataset = run.dataset()
    device = machine.choose_device(config.request.device)
    trained = run.model
    _, fitted = fitted_images(
        config, dataset, device, World(), decoding=lambda done, total: None, note=lambda text: None
    )
    network = trained.network.to(device)
    found: dict[str, Evaluation] = {}
    for split, samples in dataset.splits.items():
        if split == "train" and len(samples) > MOST_MEASURED:
            samples = samples[np.linspace(0, len(samples) - 1, MOST_MEASURED).astype(np.int64)]
        found[split] = evaluate_network(
            network,
            lambda part: eval_batches(fitted, part, trained.preprocess, EVAL_BATCH, device),
            labels=dataset.labels,
            samples=samples,
            classes=dataset.classes,
            device=device,
            precision=machine.autocast_dtype(config.recipe.precision, device),
        )
    return found


def sorted_out(measured: Measured) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Part what an arm measures into metrics (numbers) and series (lists of numbers)."""
    metrics: dict[str, float] = {}
    series: dict[str, list[float]] = {}
    for name, value in measured.items():
        if isinstance(value, int | float | np.number):
            metrics[name] = float(value)
        else:
            series[name] = [float(item) for item in value]
    return metrics, series


def described_data(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the data of a run really were, from its config.json."""
    preprocess = config["preprocess"]
    return {
        "asked_for": config["data"],
        **config["dataset"],
        "img_size": preprocess["img_size"],
        "in_chans": preprocess["in_chans"],
    }
