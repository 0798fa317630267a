"""A training's tensors: to a checkpoint and back, and the same in every process."""

from __future__ import annotations

import torch
from torch import Tensor

from reslab.errors import DivergedError
from reslab.runs import checkpoint
from reslab.runs.directory import RunDirectory
from reslab.training.budget import Clock
from reslab.training.optimizer import load_state_tensors, state_tensors
from reslab.training.schedule import learning_rate
from reslab.training.step import Training


def save(training: Training, run: RunDirectory, clock: Clock) -> None:
    """Write a checkpoint, from the one process that writes."""
    training.state.elapsed_s = clock.elapsed_s()
    clock.pause()
    if not all(bool(torch.isfinite(p).all()) for p in training.network.parameters()):
        raise diverged(training, run)
    if training.world.writes:
        groups = {
            "network": _cpu(training.network.state_dict()),
            "optimizer": _cpu(state_tensors(training.optimizer, training.network)),
        }
        if training.ema is not None:
            groups["ema"] = _cpu(training.ema.tensors())
        if training.scaler is not None:
            scale = training.scaler.state_dict()
            groups["scaler"] = {k: torch.tensor(v) for k, v in scale.items()}
        checkpoint.save(run.checkpoints, training.state, groups)
    clock.resume()


def restore(training: Training, groups: dict[str, dict[str, Tensor]]) -> None:
    """Put a checkpoint's tensors back where `save` took them from."""
    training.network.load_state_dict(groups["network"])
    load_state_tensors(training.optimizer, training.network, groups["optimizer"])
    if training.ema is not None:
        training.ema.load(groups["ema"])
    if training.scaler is not None:
        training.scaler.load_state_dict({k: v.item() for k, v in groups["scaler"].items()})


def weights(training: Training) -> dict[str, Tensor]:
    """Return the weights that a row's monitored value was measured with."""
    source = training.ema.tensors() if training.ema else training.network.state_dict()
    return _cpu(source)


def _cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().cpu().contiguous() for k, v in tensors.items()}


def agree(training: Training) -> None:
    """Give every process rank 0's batch-norm statistics and averages before a measurement.

    Gradients are shared at every step, but each process has seen other images: their running
    statistics differ, and an evaluation split over the processes would mix several networks.
    """
    training.world.copy_from_first(training.network.buffers())
    if training.ema is not None:
        training.world.copy_from_first(training.ema.tensors().values())


def diverged(training: Training, run: RunDirectory) -> DivergedError:
    """Build the error for a loss or weights that are not finite."""
    state = training.state
    return DivergedError(
        f"the loss is no longer finite at step {state.step} (lr "
        f"{learning_rate(training.recipe, state.step, state.plan, state.adaptation):.4g}); "
        f"the last good checkpoint in {run.checkpoints} is untouched",
        remedy="use a smaller --lr, a longer warm-up or --clip-grad-norm 1",
    )
