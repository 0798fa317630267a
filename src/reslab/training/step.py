"""One update: forward, loss, backward, optimizer."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.data.loader import Batch, TrainLoader
from reslab.display.short import short_repr
from reslab.networks.network import Network
from reslab.training.distributed import World
from reslab.training.ema import Ema
from reslab.training.optimizer import FACTOR, renormalize_filters
from reslab.training.progressive import resized, training_size
from reslab.training.recipe import Recipe
from reslab.training.state import TrainState


@dataclasses.dataclass
class Training:
    """The moving parts of a run, put together once and changed by every step.

    Args:
        network: the network itself.
        forward: images to the logits of the loss (`Network.training_logits`), compiled or
            wrapped for several processes where asked for.
        optimizer: the optimizer over the trainable parameters.
        ema: the running average, if any.
        scaler: the loss scaler of fp16, if any.
        loader: the training batches.
        state: the position.
        recipe: the numbers.
        class_weights: (num_classes,) weights of the loss, or None.
        device: where the network is.
        dtype: type of the forward pass's arithmetic; None for float32.
        world: the processes.
        seed: the run's seed.
        graphed: whether updates are captured as a CUDA graph (see `cuda_graph`).
        compiled: how torch has compiled the forward pass; empty where it has not.
    """

    network: Network
    forward: nn.Module
    optimizer: torch.optim.Optimizer
    ema: Ema | None
    scaler: Any | None
    loader: TrainLoader
    state: TrainState
    recipe: Recipe
    class_weights: Tensor | None
    device: torch.device
    dtype: torch.dtype | None
    world: World
    seed: int
    graphed: bool = False
    compiled: str = ""

    __repr__ = short_repr

    @property
    def num_train(self) -> int:
        """Return the number of images that make an epoch."""
        return len(self.loader.sampler)


def train_step(training: Training, batch: Batch, rate: float) -> Tensor:
    """Take one update with this process's share of the global batch.

    Args:
        training: its state says which update this is; the state itself is changed by the loop.
        batch: this process's share.
        rate: the recipe's learning rate for this update.

    Returns:
        (3,) on the device: loss summed over the images, errors, images.
    """
    size = begin_step(training, rate)
    return update_weights(training, batch, size)


def begin_step(training: Training, rate: float) -> int:
    """Set the numbers that differ from one update to the next.

    Returns:
        The side of the images that the update trains with, pixels.
    """
    step = training.state.step
    # Dropout too is a pure function of (seed, step, rank): nothing to save, exact to resume.
    seed = _mixed(training.seed, step, training.world.rank)
    if training.device.type == "cpu":
        # `torch.manual_seed` would walk over every GPU library, and note where it was called from.
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
    for group in training.optimizer.param_groups:
        if training.graphed:  # a captured update reads the rate from this very memory
            group["lr"].fill_(rate * group[FACTOR])
        else:
            group["lr"] = rate * group[FACTOR]
    if training.ema is not None:
        training.ema.begin(step + 1)
    return training_size(training.recipe, training.state.plan.progress(step))


def update_weights(training: Training, batch: Batch, size: int) -> Tensor:
    """Compute loss and gradients of a batch and change the weights, all of it on the device.

    Args:
        training: after `begin_step`.
        batch: this process's share.
        size: side of the images, pixels.

    Returns:
        As `train_step`.
    """
    recipe, network, scaler = training.recipe, training.network, training.scaler
    training.optimizer.zero_grad(set_to_none=True)
    sums = no_sums(training.device)
    num_images = len(batch.labels)
    auxiliary_weights = network.loss_weights()[1:]
    parts = _split(batch, recipe.accumulate)
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        with _no_sync(training.forward, wait=not last):
            with torch.autocast(
                training.device.type, dtype=training.dtype, enabled=training.dtype is not None
            ):
                logits, *auxiliary = training.forward(resized(part.images, size))
            # The loss in float32: bf16 logits lose what tells a probability of 0.99 from 1.
            losses = mixed_loss(
                logits.float(), part, recipe.label_smoothing, training.class_weights
            )
            for inner, weight in zip(auxiliary, auxiliary_weights, strict=True):
                losses = losses + weight * mixed_loss(
                    inner.float(), part, recipe.label_smoothing, training.class_weights
                )
            # Divided by the whole batch: gradients of the parts then add up to its mean.
            loss = losses.sum() / num_images
            (scaler.scale(loss) if scaler else loss).backward()
        sums[0] += losses.detach().sum()
        sums[1] += mixed_errors(logits.detach(), part)
    sums[2].fill_(num_images)

    if scaler is not None:  # the norm is that of the true gradients, not of the scaled ones
        scaler.unscale_(training.optimizer)
    if recipe.clip_grad_norm > 0:
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_grad_norm)
    if scaler is not None:
        scaler.step(training.optimizer)
        scaler.update()
    else:
        training.optimizer.step()
    if recipe.max_filter_rms > 0:
        renormalize_filters(network, recipe.max_filter_rms)
    if training.ema is not None:
        training.ema.move()
    return sums


def no_sums(device: torch.device) -> Tensor:
    """Return zeros for the sums of an update."""
    return torch.zeros(3, dtype=sum_type(device), device=device)


def sum_type(device: torch.device) -> torch.dtype:
    """Return the type that sums over a batch are made in: float64, which MPS lacks."""
    # Sums of an epoch in float32 would lose the loss of a single image.
    return torch.float32 if device.type == "mps" else torch.float64


class TrainingForward(nn.Module):
    """images -> the logits of the loss, as a module that can be compiled or wrapped.

    Args:
        network: what computes them; its parameters keep their names behind "network.".
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the network's own logits, then those of each auxiliary head."""
        return self.network.training_logits(x)


def mixed_loss(
    logits: Tensor, batch: Batch, smoothing: float, class_weights: Tensor | None
) -> Tensor:
    """weight * CE(logits, label) + (1 - weight) * CE(logits, partner's label), an image each."""
    own = F.cross_entropy(
        logits, batch.labels, class_weights, reduction="none", label_smoothing=smoothing
    )
    if batch.weights is None or batch.partner_labels is None:
        return own
    partner = F.cross_entropy(
        logits, batch.partner_labels, class_weights, reduction="none", label_smoothing=smoothing
    )
    return batch.weights * own + (1 - batch.weights) * partner


def mixed_errors(logits: Tensor, batch: Batch) -> Tensor:
    """Count errors; of a mixed image each label counts with its weight."""
    predicted = logits.argmax(1)
    wrong = (predicted != batch.labels).to(sum_type(logits.device))
    if batch.weights is None or batch.partner_labels is None:
        return wrong.sum()
    partner = (predicted != batch.partner_labels).to(wrong.dtype)
    return (batch.weights * wrong + (1 - batch.weights) * partner).sum()


def _split(batch: Batch, parts: int) -> list[Batch]:
    if parts == 1:
        return [batch]
    fields = dataclasses.fields(batch)
    chunks = {
        f.name: value.chunk(parts)
        for f in fields
        if isinstance(value := getattr(batch, f.name), Tensor)
    }
    count = len(chunks["images"])
    return [
        dataclasses.replace(batch, **{name: pieces[i] for name, pieces in chunks.items()})
        for i in range(count)
    ]


def _mixed(seed: int, step: int, rank: int) -> int:
    """Mix three numbers into one seed, a signed number of 64 bits."""
    # Factors that are prime keep (seed, step, rank) apart: ranks below 8,191, a million steps.
    mixed = (seed * 1_000_003 + step) * 8_191 + rank
    return (mixed + 2**63) % 2**64 - 2**63


def _no_sync(forward: nn.Module, *, wait: bool) -> contextlib.AbstractContextManager[None]:
    """Leave gradients unshared while parts of a batch are still to come."""
    if wait and isinstance(forward, nn.parallel.DistributedDataParallel):
        return forward.no_sync()
    return contextlib.nullcontext()
