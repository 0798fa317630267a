"""Sums of updates that the device still has to tell."""

from __future__ import annotations

import torch
from torch import Tensor

from reslab.training.step import Training

READ_EVERY = 20


def steps_per_read(training: Training) -> int:
    """Return after how many updates sums are read: at once where nothing runs ahead."""
    ahead = training.graphed or training.device.type == "cuda"
    return READ_EVERY if ahead else 1


class MetricAccumulator:
    """Reads the sums of updates, several at once where the device works on by itself.

    Reading waits for the device. Each update is accounted for on its own and in order, so what is
    added up is the same, to the last bit, however many are read at once.

    Args:
        training: its state is what the sums are added to.
    """

    def __init__(self, training: Training) -> None:
        self._training = training
        self.every = steps_per_read(training)
        self._pending: list[Tensor] = []

    def add(self, sums: Tensor) -> None:
        """Take the sums of an update: (3,), loss, errors, images."""
        self._pending.append(sums)

    def is_due(self) -> bool:
        """Tell whether somebody should know by now: people, or the schedule."""
        state, limit = self._training.state, self._training.recipe.warmup_until_error_pct
        waits = limit > 0 and state.adaptation.warm_end is None
        return waits or not state.images or len(self._pending) >= self.every

    def read(self) -> int:
        """Account for the updates not read yet; returns how many they were."""
        pending, self._pending = self._pending, []
        if pending:
            # One transfer for all of them: each `tolist` waits until the device is done.
            for sums in torch.stack(pending).tolist():
                self._training.state.account(*sums)
        return len(pending)
