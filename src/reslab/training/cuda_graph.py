"""Updates as a CUDA graph: all kernels of a step captured once, and replayed together.

Small networks are over before Python has started their kernels one by one. A graph holds the
kernels of a whole update with the addresses that they read and write, and starts them together.
What is captured may therefore read nothing but tensors that stay where they are: the numbers that
change from update to update (rates, the average's decay) are tensors on the device, and dropout
draws from the device's generator, which a graph asks for its seed whenever it is replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from reslab.data.loader import Raw
from reslab.training.distributed import World
from reslab.training.recipe import Recipe
from reslab.training.step import Training, begin_step, no_sums, update_weights

Work = Callable[[], None]
GRAPHED_OPTIMIZERS = ("sgd", "adamw")
WARM_UP_STEPS = 3


def can_capture(
    recipe: Recipe, device: torch.device, dtype: torch.dtype | None, world: World
) -> bool:
    """Tell whether updates can be captured: on one GPU, where nothing in them asks the host.

    Several processes wait for each other, float16's loss scale decides on the host whether a
    step counts, and recomputed activations put the generator back in between.
    """
    return (
        device.type == "cuda"
        and world.size == 1
        and dtype != torch.float16
        and not recipe.checkpoint_activations
        and recipe.optimizer in GRAPHED_OPTIMIZERS
    )


class Graph(Protocol):
    """Something that can do a piece of work now, or capture it to do it again."""

    def warm_up(self, work: Work) -> None:
        """Do it now; whatever is made once is made here."""
        ...

    def capture(self, work: Work) -> None:
        """Capture it, without doing it.

        Raises:
            RuntimeError: something in it cannot be captured.
        """
        ...

    def replay(self) -> None:
        """Do what was captured."""
        ...

    def reset(self) -> None:
        """Let go of what was captured, and of the memory that it holds."""
        ...


class Eager:
    """A graph where there are none: it calls the work again."""

    def __init__(self) -> None:
        self._work: Work | None = None

    def warm_up(self, work: Work) -> None:
        """Call it."""
        work()

    def capture(self, work: Work) -> None:
        """Keep it."""
        self._work = work

    def replay(self) -> None:
        """Call what was kept."""
        assert self._work is not None, "nothing is captured"
        self._work()

    def reset(self) -> None:
        """Drop it."""
        self._work = None


class CudaGraph:
    """A CUDA graph.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._graph: torch.cuda.CUDAGraph | None = None

    def warm_up(self, work: Work) -> None:
        """Do it on the stream that it will be captured on, between what is before and after."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream), _fastest_convolutions():
            work()
        current.wait_stream(self._stream)

    def capture(self, work: Work) -> None:
        """Capture it; other threads may use the GPU meanwhile, as those that make batches do."""
        graph = torch.cuda.CUDAGraph()
        with (
            _fastest_convolutions(),
            torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
        ):
            work()
        self._graph = graph

    def replay(self) -> None:
        """Start all of it."""
        assert self._graph is not None, "nothing is captured"
        self._graph.replay()

    def reset(self) -> None:
        """Wait until it is over, then free its memory."""
        if self._graph is not None:
            torch.cuda.synchronize(self._device)
            self._graph.reset()
            self._graph = None


def make_graph(device: torch.device) -> Graph:
    """Return a CUDA graph on a GPU, plain calls elsewhere."""
    return CudaGraph(device) if device.type == "cuda" else Eager()


def keep_rates_on_device(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Keep each group's learning rate in a tensor on the device, and every count of steps too."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]), dtype=torch.float32, device=device)
        group["foreach"], group["fused"] = False, True
        if "capturable" in group:
            group["capturable"] = True


class GraphedStep:
    """`train_step` by a graph, from what batches are made of: taking the views is captured too.

    The first few updates of a shape are taken one by one: they are real updates, and make what is
    made once (state of the optimizer, tables, compiled code). Then one is captured, and replayed
    for each that follows. Another shape, as where the images grow during a run, starts over.

    Args:
        training: what is trained.
        graph: what captures and replays.
        note: told in one line where updates cannot be captured.
    """

    def __init__(self, training: Training, graph: Graph, note: Callable[[str], None]) -> None:
        self._training = training
        self._graph = graph
        self._note = note
        self._sums = no_sums(training.device)
        self._held: Raw | None = None
        self._shape: object = None
        self._size = 0
        self._taken = 0
        self._captured = False
        self._refused = False

    def __call__(self, raw: Raw, rate: float) -> Tensor:
        """Take an update; its result is that of `train_step`."""
        self._hold(raw, begin_step(self._training, rate))
        if not self._captured and not self._refused and self._taken >= WARM_UP_STEPS:
            self._capture()
        if self._captured:
            self._graph.replay()
        else:
            self._graph.warm_up(self._work)
        self._taken += 1
        return self._sums.clone()  # the next replay writes into the same memory

    def _hold(self, raw: Raw, size: int) -> None:
        """Put what the next batch is made of where the graph reads it."""
        shape = (size, [tensor.shape for tensor in raw.tensors()])
        if self._held is None or shape != self._shape:
            self._graph.reset()
            self._captured, self._taken = False, 0
            self._shape, self._size = shape, size
            self._held = raw.map(lambda tensor: torch.empty_like(tensor, device=self._sums.device))
        for place, tensor in zip(self._held.tensors(), raw.tensors(), strict=True):
            place.copy_(tensor, non_blocking=True)

    def _work(self) -> None:
        assert self._held is not None
        batch = self._training.loader.make(self._held)
        self._sums.copy_(update_weights(self._training, batch, self._size))

    def _capture(self) -> None:
        try:
            self._graph.capture(self._work)
        except RuntimeError as error:
            self._refused = True
            reason = str(error).strip().splitlines()[0]
            self._note(f"updates cannot be one CUDA graph, so they are taken one by one: {reason}")
        else:
            self._captured = True


@contextmanager
def _fastest_convolutions() -> Iterator[None]:
    """Let cuDNN choose each convolution's algorithm by measuring, once for each shape."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.deterministic
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
