"""An update recorded once and played again: all kernels of a step as one CUDA graph.

Small networks are over before Python has started their kernels one by one. A recording holds the
kernels of a whole update with the addresses that they read and write, and starts them together.
What is recorded may therefore read nothing but tensors that stay where they are: the numbers that
change from update to update (rates, the average's decay) are tensors on the device, and dropout
draws from the device's generator, which a graph asks for its seed whenever it is played.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

from reslab.training.distributed import World
from reslab.training.optimizer import FACTOR
from reslab.training.recipe import Recipe

Work = Callable[[], None]
RECORDED_OPTIMIZERS = ("sgd", "adamw")


def can_record(
    recipe: Recipe, device: torch.device, dtype: torch.dtype | None, world: World
) -> bool:
    """Tell whether updates are recorded: on one GPU, where nothing in them asks the host.

    Several processes wait for each other, float16's loss scale decides on the host whether a
    step counts, and activations that are computed anew put the generator back in between.
    """
    return (
        device.type == "cuda"
        and world.size == 1
        and dtype != torch.float16
        and not recipe.checkpoint_activations
        and recipe.optimizer in RECORDED_OPTIMIZERS
    )


class Recording(Protocol):
    """Something that can do a piece of work now, or remember it to do it again."""

    def warm_up(self, work: Work) -> None:
        """Do it now; whatever is made once is made here."""
        ...

    def record(self, work: Work) -> None:
        """Remember it, without doing it.

        Raises:
            RuntimeError: something in it cannot be recorded.
        """
        ...

    def play(self) -> None:
        """Do what was recorded."""
        ...

    def forget(self) -> None:
        """Let go of what was recorded, and of the memory that it holds."""
        ...


class Plain:
    """A recording where there is nothing to record with: it calls the work again."""

    def __init__(self) -> None:
        self._work: Work | None = None

    def warm_up(self, work: Work) -> None:
        """Call it."""
        work()

    def record(self, work: Work) -> None:
        """Keep it."""
        self._work = work

    def play(self) -> None:
        """Call what was kept."""
        assert self._work is not None, "nothing is recorded"
        self._work()

    def forget(self) -> None:
        """Drop it."""
        self._work = None


class CudaGraph:
    """A recording as a CUDA graph.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._graph: torch.cuda.CUDAGraph | None = None

    def warm_up(self, work: Work) -> None:
        """Do it on the stream that it will be recorded on, between what is before and after."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream), _fastest_convolutions():
            work()
        current.wait_stream(self._stream)

    def record(self, work: Work) -> None:
        """Record it; other threads may go on with theirs, such as making batches."""
        graph = torch.cuda.CUDAGraph()
        with (
            _fastest_convolutions(),
            torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
        ):
            work()
        self._graph = graph

    def play(self) -> None:
        """Start all of it."""
        assert self._graph is not None, "nothing is recorded"
        self._graph.replay()

    def forget(self) -> None:
        """Wait until it is over, then free its memory."""
        if self._graph is not None:
            torch.cuda.synchronize(self._device)
            self._graph.reset()
            self._graph = None


def make_recording(device: torch.device) -> Recording:
    """Return a CUDA graph on a GPU, plain calls elsewhere."""
    return CudaGraph(device) if device.type == "cuda" else Plain()


def use_tensor_rates(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Keep each group's learning rate in a tensor on the device, and every count of steps too."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]), dtype=torch.float32, device=device)
        group["foreach"], group["fused"] = False, True
        if "capturable" in group:
            group["capturable"] = True


def fill_rates(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group, its own multiple of the recipe's, where it is a tensor."""
    for group in optimizer.param_groups:
        group["lr"].fill_(rate * group[FACTOR])


@contextmanager
def _fastest_convolutions() -> Iterator[None]:
    """Let cuDNN choose each convolution's algorithm by measuring, once for each shape."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.deterministic
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
