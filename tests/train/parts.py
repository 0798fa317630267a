"""The moving parts of a training on real images, for tests that take single steps."""

from __future__ import annotations

from typing import Any

import torch

from reslab.analyze.cost import measure
from reslab.data.dataset import Dataset
from reslab.train.assemble import assemble, geometry
from reslab.train.config import Config, Request, describe_dataset
from reslab.train.distributed import World
from reslab.train.inputs import decide, fitted_images
from reslab.train.observe import Silent
from reslab.train.step import Training

CPU = torch.device("cpu")


def make_training(
    overrides: dict[str, Any] | None = None, *, data: str = "digits", seed: int = 0
) -> tuple[Training, Dataset]:
    """Put a training of digits together in float32, at step 0."""
    settings = {"precision": "fp32", "img_size": 8, "batch_size": 32, **(overrides or {})}
    request = Request(data=data, overrides=settings, device="cpu", seed=seed)
    dataset, chosen, _ = decide(request, Silent())
    cost = measure(chosen.spec)
    config = Config(
        request=request,
        spec=chosen.spec,
        recipe=chosen.recipe,
        choices=chosen.choices,
        dataset=describe_dataset(dataset),
        preprocess=geometry(chosen.recipe, chosen.spec.in_chans).to_json(),
        cost={"params": cost.params, "macs": cost.macs},
        environment={},
    )
    preprocess, bank = fitted_images(config, dataset, CPU, World(), Silent())
    return assemble(config, dataset, bank, preprocess, CPU, World()), dataset
