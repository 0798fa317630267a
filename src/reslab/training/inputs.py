"""What a run is made of before anything trains: data with splits, decisions, fitted images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from reslab import networks
from reslab.artifact import Artifact
from reslab.data.check import check_dataset
from reslab.data.dataset import Dataset
from reslab.data.image_cache import FittedImages, open_fitted
from reslab.data.open import open_dataset
from reslab.data.preprocess import Preprocess
from reslab.data.split import complete_splits
from reslab.errors import DataError, UsageError
from reslab.evaluate import protocol
from reslab.networks import cost
from reslab.networks.network import build
from reslab.runs.config import Config
from reslab.training.choose import Chosen, choose
from reslab.training.config import Request
from reslab.training.distributed import World
from reslab.training.observe import Observer
from reslab.training.preprocessing import with_statistics
from reslab.training.source import (
    initial_spec,
    kept_settings,
    load_source,
    origin_notes,
    refuse_other_weights,
)


def decide(request: Request, observer: Observer) -> tuple[Dataset, Chosen, dict[str, Any]]:
    """Open the data, decide what is left open, hold out what is needed, check what is cheap.

    Returns:
        The data set with its splits, the choices, and the findings of the check.

    Raises:
        DataError: the data cannot be trained on.
        UsageError: the request asks for what cannot be.
    """
    dataset = open_dataset(
        request.data,
        options=request.data_options,
        skip_bad=request.skip_corrupt,
        notify=observer.note,
    )
    source = load_source(request)
    for line in origin_notes(source):
        observer.note(line)
    dataset, recorded = _recorded(dataset, request, source, observer)
    dataset = _split(dataset, request, val_fraction=0.0)
    settings = {**kept_settings(request, source), **recorded, **request.overrides}
    chosen = choose(
        dataclasses.replace(request, overrides=settings), dataset, initial_spec(request, source)
    )
    if source is not None:
        refuse_other_weights(chosen.recipe)
    dataset = _split(dataset, request, val_fraction=chosen.recipe.val_fraction)
    if chosen.recipe.needs_validation() and "val" not in dataset.splits:
        raise UsageError(
            "early stopping, the best checkpoint and the plateau schedule need a validation split",
            remedy="use --val-fraction 0.1",
        )
    _try_freezing(chosen)
    report = check_dataset(dataset, deep=False, workers=request.workers)
    findings: dict[str, Any] = report.to_json()
    for finding in findings["findings"]:
        observer.note(f"check: {finding['message']}")
    if not report.ok:
        first = next(f for f in findings["findings"] if f["severity"] == "error")
        raise DataError(first["message"], remedy=first["remedy"])
    if source is not None:
        _name_seen(dataset, request, source, observer)
    return dataset, chosen, findings


def _recorded(
    dataset: Dataset, request: Request, source: Artifact | None, observer: Observer
) -> tuple[Dataset, dict[str, Any]]:
    """Split the images that the source was trained on as then, whatever the seed is now.

    Otherwise images that it knows would come into the test. Where it held none out for
    validation, none can be: they would all be known.

    Returns:
        The data set, and the recipe fields that follow.
    """
    if source is None or request.source is None:
        return dataset, {}
    again = protocol.with_recorded_splits(dataset, request.source, source)
    if again is dataset:
        return dataset, {}
    observer.note(f"split as in {request.source}, which was trained on these images")
    return again, {} if "val" in again.splits else {"val_fraction": 0.0}


def _name_seen(dataset: Dataset, request: Request, source: Artifact, observer: Observer) -> None:
    """Say how many of the test images the source was trained on: they are no test of it."""
    if source.images is None or request.source is None or "test" not in dataset.splits:
        return
    test = dataset.splits["test"]
    seen = protocol.seen_in_training(dataset, test, request.source, source)
    if seen.count:
        observer.note(
            f"warning: {request.source} was trained on {seen.count:,} of the {len(test):,} test "
            "images; the accuracy on them says little about new images"
        )


def _try_freezing(chosen: Chosen) -> None:
    """Refuse to freeze parts that the network lacks, before anything is written."""
    if chosen.recipe.freeze:
        with torch.device("meta"):
            build(chosen.spec).freeze(chosen.recipe.freeze)


def fitted_images(
    config: Config,
    dataset: Dataset,
    device: torch.device,
    world: World,
    decoding: Callable[[int, int], None],
    note: Callable[[str], None],
) -> tuple[Preprocess, FittedImages]:
    """Decode what is not decoded yet, and measure mean and deviation.

    The writing process goes first: the others find the store ready.

    Args:
        config: what was decided.
        dataset: the images.
        device: where batches are wanted.
        world: the processes.
        decoding: called with (images done, images in all) while images are decoded.
        note: called with a line that says where the images are.
    """
    preprocess = Preprocess.from_json(config.preprocess)
    request = config.request

    def open_images(say: Callable[[str], None] | None) -> FittedImages:
        return open_fitted(
            dataset,
            preprocess,
            device=device,
            cache=request.cache,
            workers=request.workers,
            progress=decoding,
            note=say,
        )

    fitted = open_images(note) if world.writes else None
    world.barrier()
    fitted = fitted or open_images(None)
    return with_statistics(preprocess, config.recipe, dataset, fitted), fitted


def cost_of(spec: networks.NetworkSpec) -> dict[str, int]:
    """Measure a network's parameters and multiply-adds."""
    measured = cost.measure(spec)
    return {"params": measured.params, "macs": measured.macs}


def _split(dataset: Dataset, request: Request, *, val_fraction: float) -> Dataset:
    return complete_splits(
        dataset,
        val_fraction=val_fraction,
        test_fraction=request.test_fraction,
        seed=request.seed,
    )
