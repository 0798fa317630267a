"""A finished run -> the numbers that a study compares."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reslab import artifact, machine
from reslab.aliases import current_config
from reslab.data.loader import eval_batches
from reslab.evaluate.metrics import Evaluation
from reslab.evaluate.run import evaluate_network
from reslab.study.study import Measured
from reslab.training.config import Config
from reslab.training.distributed import World
from reslab.training.evaluating import EVAL_BATCH
from reslab.training.inputs import fitted_images, reopen
from reslab.training.observe import Silent
from reslab.training.rundir import RunDirectory

MOST_MEASURED = 10_000


def measure_run(run_dir: Path) -> dict[str, float]:
    """Measure the finished network on training, validation and test images, in evaluation mode.

    The training images are seen without augmentation; of more than 10,000, 10,000 that are
    spread evenly over them (train_images_measured tells how many).

    Returns:
        The metrics that `RunOutcome` lists.
    """
    run = RunDirectory(run_dir)
    config = Config.from_json(run.read_json("config.json"))
    status = run.read_json("status.json")
    found = evaluations(run, config)
    rows = read_rows(run_dir)
    metrics: dict[str, float] = {
        "params": config.cost["params"],
        "macs": config.cost["macs"],
        "steps": status["step"],
        "wall_s": status["wall_s"],
        "train_images_per_s": status["train_images_per_s"],
        "train_images_measured": len(found["train"]),
    }
    for split, evaluation in found.items():
        metrics[f"{split}_error_pct"] = 100.0 - evaluation.accuracy_pct
        metrics[f"{split}_loss"] = evaluation.nll(1.0)
    if rows:
        metrics["running_train_error_pct"] = float(rows[-1]["train_error_pct"])
    return metrics


def evaluations(run: RunDirectory, config: Config) -> dict[str, Evaluation]:
    """Evaluate a run's model on each of its splits."""
    dataset = reopen(run, config, Silent())
    device = machine.choose_device(config.request.device)
    trained = artifact.load(run.model)
    _, bank = fitted_images(
        config, dataset, device, World(), decoding=lambda done, total: None, note=lambda text: None
    )
    network = trained.network.to(device)
    found: dict[str, Evaluation] = {}
    for split, samples in dataset.splits.items():
        if split == "train" and len(samples) > MOST_MEASURED:
            samples = samples[np.linspace(0, len(samples) - 1, MOST_MEASURED).astype(np.int64)]
        found[split] = evaluate_network(
            network,
            lambda part: eval_batches(bank, part, trained.preprocess, EVAL_BATCH, device),
            labels=dataset.labels,
            samples=samples,
            classes=dataset.classes,
            device=device,
            precision=machine.autocast_dtype(config.recipe.precision, device),
        )
    return found


def read_rows(run_dir: Path) -> list[dict[str, Any]]:
    """Read a run's training curve; empty where it has none yet."""
    path = run_dir / "results.csv"
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def recipe_of(run_dir: Path) -> dict[str, Any]:
    """Return every number of a run's recipe; empty where it never got so far."""
    if not (run_dir / "config.json").is_file():
        return {}
    recipe: dict[str, Any] = current_config(RunDirectory(run_dir).read_json("config.json"))[
        "recipe"
    ]
    return recipe


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
