"""The moving parts of a training on real images, for tests that take single steps."""

from __future__ import annotations

import functools
from typing import Any

import torch

from reslab.data.dataset import Dataset
from reslab.data.open import open_dataset
from reslab.data.split import complete_splits
from reslab.runs.config import Config, describe_dataset
from reslab.training.build import build_training
from reslab.training.choose import choose
from reslab.training.config import Request
from reslab.training.distributed import World
from reslab.training.inputs import fitted_images
from reslab.training.observe import Silent
from reslab.training.preprocessing import geometry
from reslab.training.step import Training

CPU = torch.device("cpu")


@functools.cache
def digits() -> Dataset:
    """Return digits with all splits."""
    return complete_splits(open_dataset("digits"), val_fraction=0.1, test_fraction=0.2, seed=0)


def make_training(
    overrides: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    graphed: bool | None = None,
    device: torch.device = CPU,
) -> Training:
    """Put a training of digits together in float32, at step 0."""
    settings = {"precision": "fp32", "img_size": 8, "batch_size": 32, **(overrides or {})}
    request = Request(data="digits", overrides=settings, device=str(device), seed=seed)
    dataset, watcher = digits(), Silent()
    chosen = choose(request, dataset, None)
    config = Config(
        request=request,
        spec=chosen.spec,
        recipe=chosen.recipe,
        choices=chosen.choices,
        dataset=describe_dataset(dataset),
        preprocess=geometry(chosen.recipe, chosen.spec.in_chans).to_json(),
        cost={},
        environment={},
    )
    preprocess, fitted = fitted_images(
        config, dataset, device, World(), decoding=watcher.decoding, note=watcher.note
    )
    return build_training(config, dataset, fitted, preprocess, device, World(), graphed=graphed)
