"""A network and images in, an `Evaluation` out: each image once, for any number of processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from reslab.data.arrays import Indices
from reslab.evaluate.evaluation import Evaluation
from reslab.machine import autocast

Batches = Iterable[tuple[Tensor, Tensor]]


def evaluate_network(
    network: nn.Module,
    batches_of: Callable[[Indices], Batches],
    *,
    labels: Indices,
    samples: Indices,
    classes: tuple[str, ...],
    device: torch.device,
    precision: torch.dtype | None = None,
    temperature: float = 1.0,
    rank: int = 0,
    world_size: int = 1,
) -> Evaluation:
    """Compute the logits of every sample once; all processes get the whole result.

    Args:
        network: the network, on `device`; put into evaluation mode for the while.
        batches_of: sample numbers -> batches of (images, sample numbers) that hold each of
            them once, in any order.
        labels: class number of every sample of the data set.
        samples: those to evaluate, each at most once.
        classes: class names in the order of the logits.
        device: where the network is.
        precision: arithmetic of the forward pass; None for float32.
        temperature: what the logits are divided by for probabilities.
        rank: number of this process; it takes samples[rank::world_size].
        world_size: number of processes, in torch's default group.

    Raises:
        DataError: there are no samples, or an image cannot be read.
        DivergedError: a logit is not finite.
    """
    own = samples[rank::world_size]
    logits, seen = collect_logits(
        network, batches_of(own), device=device, precision=precision, num_classes=len(classes)
    )
    order = np.argsort(own, kind="stable")
    place = order[np.searchsorted(own, seen.numpy(), sorter=order)] if len(own) else order
    assert sorted(place.tolist()) == list(range(len(own))), "each sample once"
    ordered = torch.empty(len(own), len(classes))
    ordered[torch.from_numpy(place)] = logits
    if world_size > 1:
        ordered = _gather(ordered, len(samples), world_size, device)
    return Evaluation(
        logits=ordered.numpy(),
        labels=labels[samples].astype(np.int64),
        samples=samples.astype(np.int64),
        classes=classes,
        temperature=temperature,
    )


def collect_logits(
    network: nn.Module,
    batches: Batches,
    *,
    device: torch.device,
    precision: torch.dtype | None = None,
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    """Run a network over batches in evaluation mode, without gradients.

    Returns:
        Logits, float32 (n, num_classes), and sample numbers, int64 (n,), both on the CPU.
    """
    logits: list[Tensor] = []
    samples: list[Tensor] = []
    with evaluation_mode(network), torch.inference_mode(), autocast(device, precision):
        for images, numbers in batches:
            # Only the queue's end waits for a GPU, not each batch.
            logits.append(network(images.to(device, non_blocking=True)).float())
            samples.append(numbers)
    if not logits:
        return torch.empty(0, num_classes), torch.empty(0, dtype=torch.int64)
    # clone: tensors that are born in inference mode refuse later use in autograd.
    return torch.cat(logits).cpu().clone(), torch.cat(samples).cpu().clone()


@contextlib.contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode for a while; every part gets its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _gather(own: Tensor, count: int, world_size: int, device: torch.device) -> Tensor:
    """Collect every process's rows; row i of process r is row r + i * world_size of all."""
    import torch.distributed as dist

    longest = -(-count // world_size)
    padded = torch.zeros(longest, own.shape[1], device=device)
    padded[: len(own)] = own.to(device)
    parts = [torch.empty_like(padded) for _ in range(world_size)]
    dist.all_gather(parts, padded)
    return torch.stack(parts, dim=1).flatten(0, 1)[:count].cpu()
