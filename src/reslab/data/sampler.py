"""Which sample comes when, and with which random numbers: pure functions of the seed.

The stream of samples is the concatenation of shuffled epochs, so a place in it is one integer,
batches are never partial, and a set smaller than a batch works. Step `s` with batch size `B` is
positions `[s * B, (s + 1) * B)` whatever the number of processes; each process takes its slice.

A random number depends on nothing but (seed, epoch, sample, draw): there is no state to save or
share. So it is the same for any batch, process, worker or device, and after any resume.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import threading

import torch
from torch import Tensor

from reslab.data.arrays import Indices
from reslab.display.short import short_repr
from reslab.errors import DataError, UsageError


class Sampler:
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
        # A batch may span epochs, of a set smaller than a batch even several.
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
        # The classes of a round are sorted by random keys: a permutation of its own for each round,
        # found without walking the rounds before it.
        keys = bits(self.seed, rounds[:, None].expand_as(slots), slots, Draw.CLASSES)
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
        """Sort samples by random numbers; remember the few permutations in use.

        Sorted by hashes rather than by `torch.randperm`: its generator has a state, and torch does
        not promise the same permutation in all versions.
        """
        with self._lock:  # threads that prefetch share the sampler
            found = self._shuffled.get((key, epoch))
            if found is None:
                epochs = torch.full_like(members, epoch)
                keys = bits(self.seed, epochs, members, Draw.SHUFFLE)
                found = members[keys.argsort(stable=True)]  # stable: equal keys, one order
                while len(self._shuffled) >= keep:
                    self._shuffled.pop(next(iter(self._shuffled)))
                self._shuffled[key, epoch] = found
        return found


# --- the random numbers of a batch ----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class SampleRng:
    """The random numbers of some samples: each has its own, whatever else is in the batch.

    Args:
        seed: of the run.
        epochs: int64 (B,), how often each sample was visited before.
        samples: int64 (B,), sample numbers.
    """

    seed: int
    epochs: Tensor
    samples: Tensor

    __repr__ = short_repr

    def uniform(self, draw: Draw, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw float32 (B,) from [low, high)."""
        u = uniform(self.seed, self.epochs, self.samples, draw)
        return u * (high - low) + low if (low, high) != (0.0, 1.0) else u

    def integers(self, draw: Draw, upper: int) -> Tensor:
        """Draw int64 (B,) from 0 .. upper - 1."""
        return integers(self.seed, self.epochs, self.samples, draw, upper)

    def normal(self, draw: Draw) -> Tensor:
        """Draw float32 (B,) from the standard normal distribution."""
        return normal(self.seed, self.epochs, self.samples, draw)

    def log_uniform(self, draw: Draw, low: float, high: float) -> Tensor:
        """Draw float32 (B,) from [low, high], uniform in the logarithm."""
        return log_uniform(self.seed, self.epochs, self.samples, draw, low, high)

    def beta(self, draw: Draw, alpha: float) -> Tensor:
        """Draw float32 (B,) from Beta(alpha, alpha)."""
        return beta(self.seed, self.epochs, self.samples, draw, alpha)


# --- random numbers by counters -------------------------------------------------------------------
# The hash is the finalizer of SplitMix64 (Steele, Lea and Flood 2014, doi 10.1145/2660193.2660195),
# applied to one counter after the other.
#
# Distributions other than the uniform are looked up in tables of 65,536 quantiles: exponentials
# and the like may be rounded differently in the body and in the tail of a vector, and by
# different devices; a table look-up may not.


_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_TABLE_BITS = 16


class Draw(enum.IntEnum):
    """What a number is for. Finished runs depend on these values: add, never renumber."""

    SHUFFLE = 0
    CLASSES = 1
    TOP = 2
    LEFT = 3
    FLIP = 4
    CROP_AREA = 5
    CROP_RATIO = 6
    CROP_X = 7
    CROP_Y = 8
    ROTATION = 9
    BRIGHTNESS = 10
    CONTRAST = 11
    SATURATION = 12
    COLOR_0 = 13
    COLOR_1 = 14
    COLOR_2 = 15
    ERASE = 16
    ERASE_AREA = 17
    ERASE_RATIO = 18
    ERASE_X = 19
    ERASE_Y = 20
    PARTNER = 21
    MIX_KIND = 22
    MIX_WEIGHT = 23
    MIX_X = 24
    MIX_Y = 25


def bits(seed: int, epochs: Tensor, samples: Tensor, draw: int) -> Tensor:
    """Hash the four counters to 64 random bits.

    Args:
        seed: any integer; one stream of its own for each.
        epochs: int64, how often each sample has been visited before.
        samples: int64, sample numbers, of the same shape on the same device.
        draw: which of the many numbers that one visit of one sample needs.

    Returns:
        int64, of the shape of the samples; all 64 bits are random.
    """
    key = _mix_int(_mix_int(seed & _MASK) + draw * _GOLDEN)
    state = _mix(epochs * _signed(_GOLDEN) + _signed(key))
    return _mix(state + samples * _signed(_GOLDEN))


def uniform(seed: int, epochs: Tensor, samples: Tensor, draw: int) -> Tensor:
    """Draw from [0, 1): float32 multiples of 2^-24, exactly the same on every device."""
    # 24 bits are the significand of a float32: each value is exact, and 1.0 never comes out.
    return _shift(bits(seed, epochs, samples, draw), 40).to(torch.float32) * 2.0**-24


def integers(seed: int, epochs: Tensor, samples: Tensor, draw: int, upper: int) -> Tensor:
    """Draw int64 values from 0 .. upper - 1, for an upper bound of at most 2^31."""
    assert 1 <= upper <= 1 << 31, upper
    # The upper half of a product instead of a remainder: 32 bits times upper fit into 63.
    return _shift(_shift(bits(seed, epochs, samples, draw), 32) * upper, 32)


def normal(seed: int, epochs: Tensor, samples: Tensor, draw: int) -> Tensor:
    """Draw float32 values from the standard normal distribution, cut at 4.3 deviations."""
    return _look_up(_normal_table(str(samples.device)), bits(seed, epochs, samples, draw))


def log_uniform(
    seed: int, epochs: Tensor, samples: Tensor, draw: int, low: float, high: float
) -> Tensor:
    """Draw float32 values from [low, high] whose logarithm is uniform."""
    table = _log_uniform_table(low, high, str(samples.device))
    return _look_up(table, bits(seed, epochs, samples, draw))


def beta(seed: int, epochs: Tensor, samples: Tensor, draw: int, alpha: float) -> Tensor:
    """Draw float32 values in [0, 1] from Beta(alpha, alpha)."""
    return _look_up(_beta_table(alpha, str(samples.device)), bits(seed, epochs, samples, draw))


def _look_up(table: Tensor, random_bits: Tensor) -> Tensor:
    return table[_shift(random_bits, 64 - _TABLE_BITS)]


def _quantiles() -> Tensor:
    """Return the middles of 65,536 equal slices of (0, 1), float64."""
    count = 1 << _TABLE_BITS
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


@functools.lru_cache(maxsize=8)
def _normal_table(device: str) -> Tensor:
    values: Tensor = torch.special.ndtri(_quantiles())
    return values.to(torch.float32).to(device)


@functools.lru_cache(maxsize=16)
def _log_uniform_table(low: float, high: float, device: str) -> Tensor:
    span = math.log(high / low)
    return (low * torch.exp(_quantiles() * span)).to(torch.float32).to(device)


@functools.lru_cache(maxsize=16)
def _beta_table(alpha: float, device: str) -> Tensor:
    from scipy.special import betaincinv

    values = torch.from_numpy(betaincinv(alpha, alpha, _quantiles().numpy()))
    return values.to(torch.float32).to(device)


def _mix(x: Tensor) -> Tensor:
    """Scramble 64 bits (int64 products wrap around)."""
    x = (x ^ _shift(x, 30)) * _signed(_FIRST)
    x = (x ^ _shift(x, 27)) * _signed(_SECOND)
    return x ^ _shift(x, 31)


def _mix_int(x: int) -> int:
    """Do what `_mix` does to one Python integer."""
    x &= _MASK
    x = (x ^ x >> 30) * _FIRST & _MASK
    x = (x ^ x >> 27) * _SECOND & _MASK
    return x ^ x >> 31


def _shift(x: Tensor, count: int) -> Tensor:
    """Shift int64 bits to the right as if they were unsigned."""
    return (x >> count) & ((1 << (64 - count)) - 1)


def _signed(x: int) -> int:
    """Return the int64 that has the same 64 bits."""
    x &= _MASK
    return x - (1 << 64) if x >> 63 else x
