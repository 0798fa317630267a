"""The order of training: an endless stream of samples, random access by position.

The stream is the concatenation of shuffled epochs, so a place in it is one integer, batches are
never partial, and a set smaller than a batch works. Step `s` with batch size `B` is positions
`[s * B, (s + 1) * B)` whatever the number of processes; each process takes its slice.
"""

from __future__ import annotations

import threading

import torch
from torch import Tensor

from reslab.data import random
from reslab.data.arrays import Indices
from reslab.data.random import Draw
from reslab.errors import DataError, UsageError


class Order:
    """Which sample comes at which position, as a pure function of the seed.

    Args:
        indices: int64, the sample numbers of the training split.
        seed: of the shuffling.
        labels: int64, the class of every sample of the data set; needed to balance.
        balanced: draw every class equally often: any K consecutive positions that start at a
            multiple of K hold each of the K classes once, and within a class each sample
            comes once before any comes again.

    Raises:
        DataError: there is no sample.
    """

    def __init__(
        self, indices: Indices, seed: int, labels: Indices | None = None, balanced: bool = False
    ) -> None:
        if not len(indices):
            raise DataError("the training split is empty")
        self.seed = seed
        self.balanced = balanced
        self.indices = torch.as_tensor(indices, dtype=torch.int64)
        self._shuffled: dict[tuple[int, int], Tensor] = {}
        self._lock = threading.Lock()
        self._classes: list[Tensor] = []
        if balanced:
            assert labels is not None, "balancing needs labels"
            own = torch.as_tensor(labels, dtype=torch.int64)[self.indices]
            self._classes = [self.indices[own == label] for label in own.unique()]

    def __len__(self) -> int:
        """Return the number of positions that are counted as one epoch."""
        return len(self.indices)

    def batch(
        self, step: int, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Return one process's contiguous share of the global batch of a step.

        Returns:
            The sample numbers, and for each how often it was visited before (its epoch);
            int64, on the CPU.

        Raises:
            UsageError: the batch is smaller than the number of processes.
        """
        if batch_size < world_size:
            raise UsageError(
                f"batch size {batch_size} is smaller than the number of processes, {world_size}"
            )
        start = step * batch_size
        return self.samples(
            start + batch_size * rank // world_size, start + batch_size * (rank + 1) // world_size
        )

    def samples(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return sample numbers and epochs of the positions start .. stop - 1."""
        assert 0 <= start < stop, (start, stop)
        return self._balanced(start, stop) if self.balanced else self._plain(start, stop)

    def _plain(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        count = len(self.indices)
        parts: list[Tensor] = []
        for epoch in range(start // count, (stop - 1) // count + 1):
            first, last = max(start - epoch * count, 0), min(stop - epoch * count, count)
            parts.append(self._shuffle(self.indices, epoch, key=0, keep=2)[first:last])
        epochs = torch.arange(start, stop) // count
        return torch.cat(parts), epochs

    def _balanced(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Deal the classes in shuffled rounds; round r takes the r-th sample of each class."""
        width = len(self._classes)
        rounds = torch.arange(start // width, (stop - 1) // width + 1)
        slots = torch.arange(width).expand(len(rounds), width)
        keys = random.bits(self.seed, rounds[:, None].expand_as(slots), slots, Draw.CLASSES)
        classes = keys.argsort(dim=1, stable=True).flatten()
        offset = start - int(rounds[0]) * width
        classes = classes[offset : offset + stop - start]
        rounds = torch.arange(start, stop) // width
        samples, epochs = torch.empty_like(rounds), torch.empty_like(rounds)
        for number in classes.unique().tolist():
            members = self._classes[number]
            where = (classes == number).nonzero().flatten()
            epochs[where] = rounds[where] // len(members)
            for epoch in epochs[where].unique().tolist():
                now = where[epochs[where] == epoch]
                shuffled = self._shuffle(members, epoch, key=number, keep=2 * width)
                samples[now] = shuffled[rounds[now] % len(members)]
        return samples, epochs

    def _shuffle(self, members: Tensor, epoch: int, *, key: int, keep: int) -> Tensor:
        """Sort samples by random numbers; remember the few permutations in use."""
        with self._lock:
            found = self._shuffled.get((key, epoch))
            if found is None:
                epochs = torch.full_like(members, epoch)
                keys = random.bits(self.seed, epochs, members, Draw.SHUFFLE)
                found = members[keys.argsort(stable=True)]
                while len(self._shuffled) >= keep:
                    self._shuffled.pop(next(iter(self._shuffled)))
                self._shuffled[key, epoch] = found
        return found
