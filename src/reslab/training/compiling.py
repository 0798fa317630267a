"""torch.compile, in the mode that measuring finds fastest on a GPU."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from reslab.training.cuda_graph import make_graph

DEFAULT, AUTOTUNED = "default", "max-autotune-no-cudagraphs"
# Trying many kernels for each operation takes minutes, which only a long run gets back.
LONG_RUN_STEPS = 100_000
WARM_UP, TIMED = 3, 10


def modes_worth_trying(total_steps: int) -> tuple[str, ...]:
    """Return the modes of torch.compile that can pay for themselves in a run of so many steps.

    Those that make CUDA graphs of their own are left out: the whole update becomes one.
    """
    return (DEFAULT, AUTOTUNED) if total_steps >= LONG_RUN_STEPS else (DEFAULT,)


def fastest(candidates: Sequence[str], seconds_of: Callable[[str], float]) -> str:
    """Return the candidate that takes least; of equals, and of failures alone, the first.

    Args:
        candidates: one or more.
        seconds_of: measures one; a RuntimeError means that it cannot be had here.
    """
    if len(candidates) == 1:
        return candidates[0]

    def cost(candidate: str) -> float:
        try:
            return seconds_of(candidate)
        except RuntimeError:
            return math.inf

    return min(candidates, key=cost)


def forward_backward_s(
    forward: nn.Module, mode: str, images: Tensor, dtype: torch.dtype | None
) -> float:
    """Measure a forward and backward pass of a compiled copy, captured where it will be.

    Args:
        forward: images to a list of logits; nothing of it changes.
        mode: of torch.compile.
        images: a batch on the device.
        dtype: of the arithmetic; None for float32.

    Returns:
        Seconds a pass.
    """
    device = images.device
    trial = copy.deepcopy(forward).train()
    compiled = torch.compile(trial, mode=mode, dynamic=False)
    graph = make_graph(device)

    def work() -> None:
        trial.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            outputs = compiled(images)
        sum(output.float().square().mean() for output in outputs).backward()

    for _ in range(WARM_UP):
        graph.warm_up(work)
    graph.capture(work)
    graph.replay()
    _wait(device)
    began = time.perf_counter()
    for _ in range(TIMED):
        graph.replay()
    _wait(device)
    took = (time.perf_counter() - began) / TIMED
    graph.reset()
    return took


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
