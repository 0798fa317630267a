"""A CUDA graph's manners on a processor: what is recorded runs again, on the same memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reslab.training.cuda_graph import Work

# A graph cannot hand a number to Python, nor make a tensor of Python's numbers.
FORBIDDEN = {
    "aten._local_scalar_dense.default",
    "aten.lift_fresh.default",
    "aten.nonzero.default",
}


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if str(func) in FORBIDDEN:
            raise RuntimeError(f"{func} cannot be captured")
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out


class Replayed:
    """A recording of operations with their operands: numbers as they were, tensors where they are.

    Args:
        tensors: all that the work may change; recording leaves them as they were.
    """

    def __init__(self, tensors: Callable[[], Iterable[Tensor]]) -> None:
        self._tensors = tensors
        self._tape: _Tape | None = None
        self.history: list[str] = []

    def warm_up(self, work: Work) -> None:
        self.history.append("warm up")
        work()

    def capture(self, work: Work) -> None:
        self.history.append("capture")
        kept = [(tensor, tensor.detach().clone()) for tensor in self._tensors()]
        random = torch.get_rng_state()
        tape = _Tape()
        try:
            with tape:
                work()
        finally:
            with torch.no_grad():
                for tensor, before in kept:
                    tensor.copy_(before)
            torch.set_rng_state(random)
        self._tape = tape

    @torch.no_grad()
    def replay(self) -> None:
        self.history.append("replay")
        assert self._tape is not None
        for func, args, kwargs, recorded in self._tape.calls:
            again = func(*args, **kwargs)
            for place, value in zip(tree_leaves(recorded), tree_leaves(again), strict=True):
                if isinstance(place, Tensor) and place.data_ptr() != value.data_ptr():
                    place.copy_(value)

    def reset(self) -> None:
        self.history.append("reset")
        self._tape = None
