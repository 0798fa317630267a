"""A training of ours without its loop, and what of it the peers are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.session import SHARED
from reslab import machine
from reslab.data.loader import Batch
from reslab.runs.config import Config, describe_dataset
from reslab.training.build import build_training
from reslab.training.config import Request
from reslab.training.distributed import World
from reslab.training.inputs import cost_of, decide, fitted_images
from reslab.training.observe import Silent
from reslab.training.preprocessing import planned_preprocess
from reslab.training.step import Training
from reslab.weights import LAYOUTS, to_layout


def assembled(wanted: Request, device: torch.device) -> Training:
    """Put a training together as the job does."""
    observer, world = Silent(), World()
    if device.type == "cpu":
        machine.keep_memory()
    dataset, chosen, _ = decide(wanted, observer)
    config = Config(
        request=wanted,
        spec=chosen.spec,
        recipe=chosen.recipe,
        choices=chosen.choices,
        dataset=describe_dataset(dataset),
        preprocess=planned_preprocess(wanted, chosen.recipe, chosen.spec.in_chans).to_json(),
        cost=cost_of(chosen.spec),
        environment={},
    )
    preprocess, fitted = fitted_images(
        config, dataset, device, world, observer.decoding, observer.note
    )
    return build_training(config, dataset, fitted, preprocess, device, world)


def share(training: Training, settings: dict[str, Any]) -> list[Batch]:
    """Write weights and first batches for the peers; returns the batches."""
    loader = training.loader
    batches = [loader.batch(step) for step in range(settings["check_steps"])]
    path = Path(settings["scratch"]) / SHARED
    if not path.exists():
        value = {
            "weights": to_layout(training.network, LAYOUTS[settings["layout"]]),
            "images": [batch.images.cpu() for batch in batches],
            "labels": [batch.labels.cpu() for batch in batches],
            "mean": loader.preprocess.mean,
            "std": loader.preprocess.std,
        }
        torch.save(value, path)
    return batches
