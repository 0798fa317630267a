"""Where updates come from: taken step by step, or recorded once and played again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from reslab.data.loader import Raw
from reslab.training.recording import Recording, make_recording
from reslab.training.step import Training, begin_update, no_sums, train_step, update

WARM_UP_UPDATES = 3

Note = Callable[[str], None]


class Updates(Protocol):
    """The updates of a training, one after the other from the state's step on."""

    def take(self, rate: float) -> Tensor:
        """Take the next update.

        Returns:
            (3,) on the device: loss summed over the images, errors, images.
        """
        ...


@contextlib.contextmanager
def updates_of(training: Training, note: Note) -> Iterator[Updates]:
    """Make batches ahead in a thread for as long as updates are wanted.

    Args:
        training: what is trained; its state says at which step to begin.
        note: told in one line how updates are taken, where that is worth knowing.
    """
    if training.recorded:
        with recorded_updates(training, make_recording(training.device), note) as recorded:
            yield recorded
        return
    batches = training.loader.prefetch(training.state.step, sys.maxsize)
    with contextlib.closing(batches):
        yield _Single(training, batches)


@contextlib.contextmanager
def recorded_updates(training: Training, recording: Recording, note: Note) -> Iterator[Updates]:
    """Record updates with the means given; see `updates_of`."""
    raws = training.loader.prefetch_raw(training.state.step, sys.maxsize)
    with contextlib.closing(raws):
        recorded = _Recorded(training, raws, recording, note)
        try:
            yield recorded
        finally:
            recording.forget()


class _Single:
    """Updates whose operations are started one by one."""

    def __init__(self, training: Training, batches: Iterator[object]) -> None:
        self._training = training
        self._batches = batches

    def take(self, rate: float) -> Tensor:
        """Take the next update."""
        return train_step(self._training, next(self._batches), rate)  # type: ignore[arg-type]


class _Recorded:
    """Updates that are played from a recording, views of the images included.

    The first few of a shape are taken one by one: they are real updates, and make what is made
    once (state of the optimizer, tables, compiled code). Then one is recorded, and played for
    each that follows. Another shape, as where the images grow during a run, begins anew.
    """

    def __init__(
        self, training: Training, raws: Iterator[Raw], recording: Recording, note: Note
    ) -> None:
        self._training = training
        self._raws = raws
        self._recording = recording
        self._note = note
        self._sums = no_sums(training.device)
        self._held: Raw | None = None
        self._shape: object = None
        self._size = 0
        self._taken = 0
        self._playable = False
        self._refused = False

    def take(self, rate: float) -> Tensor:
        """Take the next update."""
        self._hold(next(self._raws), begin_update(self._training, rate))
        if not self._playable and not self._refused and self._taken >= WARM_UP_UPDATES:
            self._record()
        if self._playable:
            self._recording.play()
        else:
            self._recording.warm_up(self._work)
        self._taken += 1
        return self._sums.clone()

    def _hold(self, raw: Raw, size: int) -> None:
        """Put what the next batch is made of where the recording reads it."""
        shape = (size, [tensor.shape for tensor in raw.tensors()])
        if self._held is None or shape != self._shape:
            self._recording.forget()
            self._playable, self._taken = False, 0
            self._shape, self._size = shape, size
            self._held = raw.map(lambda tensor: torch.empty_like(tensor, device=self._sums.device))
        for place, tensor in zip(self._held.tensors(), raw.tensors(), strict=True):
            place.copy_(tensor, non_blocking=True)

    def _work(self) -> None:
        assert self._held is not None
        batch = self._training.loader.make(self._held)
        self._sums.copy_(update(self._training, batch, self._size))

    def _record(self) -> None:
        try:
            self._recording.record(self._work)
        except RuntimeError as error:
            self._refused = True
            reason = str(error).strip().splitlines()[0]
            self._note(f"updates cannot be one CUDA graph, so they are taken one by one: {reason}")
        else:
            self._playable = True
