"""Random numbers as a pure function of (seed, epoch, sample, draw): no state to save or share.

A number depends on nothing but its four counters, so it is the same for any batch, process,
worker or device, and after any resume. The hash is the finaliser of SplitMix64 (Steele, Lea and
Flood 2014, doi 10.1145/2660193.2660195), applied to each counter in turn.

Distributions other than the uniform are looked up in tables of 65,536 quantiles: exponentials
and the like may be rounded differently in the body and in the tail of a vector, and by
different devices; a table look-up may not.
"""

from __future__ import annotations

import enum
import functools
import math

import torch
from torch import Tensor

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
    COLOUR_0 = 13
    COLOUR_1 = 14
    COLOUR_2 = 15
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
    return _shift(bits(seed, epochs, samples, draw), 40).to(torch.float32) * 2.0**-24


def integers(seed: int, epochs: Tensor, samples: Tensor, draw: int, upper: int) -> Tensor:
    """Draw int64 values from 0 .. upper - 1, for an upper bound of at most 2^31."""
    assert 1 <= upper <= 1 << 31, upper
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
