import math
from statistics import NormalDist

import pytest
import torch

from reslab.data import sampler
from reslab.data.sampler import Draw

MASK = (1 << 64) - 1


def reference_mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def reference_bits(seed: int, epoch: int, sample: int, draw: int) -> int:
    golden = 0x9E3779B97F4A7C15
    key = reference_mix((reference_mix(seed & MASK) + draw * golden) & MASK)
    state = reference_mix((epoch * golden + key) & MASK)
    return reference_mix((state + sample * golden) & MASK)


def grid(epochs: int, samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.arange(epochs).repeat_interleave(samples),
        torch.arange(samples).repeat(epochs),
    )


def test_bits_equal_a_reference_in_unbounded_integers():
    epochs, samples = grid(5, 40)
    samples = samples * 10_007 + (1 << 40)
    for seed, draw in ((0, 0), (1, 3), (-7, 1), (1 << 70, 25)):
        found = sampler.bits(seed, epochs, samples, draw).tolist()
        expected = [
            reference_bits(seed, e, s, draw)
            for e, s in zip(epochs.tolist(), samples.tolist(), strict=True)
        ]
        assert [x & MASK for x in found] == expected


def test_the_reference_is_splitmix64():
    # The first outputs of the published generator for seed 0 (state advances before output).
    golden = 0x9E3779B97F4A7C15
    outputs = [reference_mix(golden * n & MASK) for n in (1, 2, 3)]
    assert outputs == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_values_never_change():
    epochs, samples = grid(2, 3)
    assert sampler.bits(0, epochs, samples, 0).tolist() == GOLDEN_BITS
    assert sampler.integers(3, epochs, samples, Draw.TOP, 9).tolist() == GOLDEN_INTEGERS


def test_uniform_is_the_highest_24_bits():
    epochs, samples = grid(3, 100)
    high = [(x & MASK) >> 40 for x in sampler.bits(5, epochs, samples, 2).tolist()]
    u = sampler.uniform(5, epochs, samples, 2)
    assert u.dtype == torch.float32
    assert u.double().tolist() == [x / 2**24 for x in high]


@pytest.mark.parametrize("axis", ["sample", "epoch", "draw", "seed"])
def test_uniform_fills_its_bins_evenly_along_every_counter(axis):
    u = series(axis, 1 << 12)
    counts = torch.histc(u, bins=256, min=0, max=1)
    chi_square = ((counts - len(u) / 256) ** 2 / (len(u) / 256)).sum().item()
    assert 170 < chi_square < 345  # 255 degrees of freedom: about four deviations
    for lag in (1, 2, 3, 32):
        correlation = torch.corrcoef(torch.stack((u[lag:], u[:-lag])))[0, 1].item()
        assert abs(correlation) < 4 / math.sqrt(len(u))


def series(axis: str, count: int) -> torch.Tensor:
    if axis == "sample":
        return sampler.uniform(1, torch.full((count,), 4), torch.arange(count), 2)
    if axis == "epoch":
        return sampler.uniform(1, torch.arange(count), torch.full((count,), 4), 2)
    one = torch.zeros(1, dtype=torch.int64)
    if axis == "draw":
        return torch.cat([sampler.uniform(1, one, one, draw) for draw in range(count)])
    return torch.cat([sampler.uniform(seed, one, one, 2) for seed in range(count)])


def test_neighbouring_counters_are_independent():
    count = 1 << 16
    samples = torch.arange(count)
    zeros = torch.zeros_like(samples)
    base = sampler.uniform(0, zeros, samples, 0)
    for other in (
        sampler.uniform(1, zeros, samples, 0),
        sampler.uniform(0, zeros + 1, samples, 0),
        sampler.uniform(0, zeros, samples, 1),
        sampler.uniform(0, samples, zeros, 0),
    ):
        joint = torch.histogramdd(
            torch.stack((base, other), 1), bins=[16, 16], range=[0.0, 1.0] * 2
        )
        chi_square = ((joint.hist - count / 256) ** 2 / (count / 256)).sum().item()
        assert 170 < chi_square < 345


def test_one_flipped_bit_of_a_counter_flips_half_of_the_bits():
    samples = torch.arange(2_000)
    zeros = torch.zeros_like(samples)
    for place in (0, 1, 7, 20):
        change = sampler.bits(0, zeros, samples, 0) ^ sampler.bits(
            0, zeros, samples ^ (1 << place), 0
        )
        flipped = [bin(x & MASK).count("1") for x in change.tolist()]
        assert abs(sum(flipped) / len(flipped) - 32) < 0.5


def test_a_number_does_not_depend_on_its_batch():
    epochs, samples = grid(4, 33)
    for function in (sampler.uniform, sampler.normal, lambda *a: sampler.beta(*a, 0.3)):
        whole = function(9, epochs, samples, 1)
        chosen = torch.tensor([131, 0, 17, 64])
        assert torch.equal(function(9, epochs[chosen], samples[chosen], 1), whole[chosen])
        assert torch.equal(function(9, epochs[5:6], samples[5:6], 1), whole[5:6])


@pytest.mark.parametrize("upper", [1, 2, 9, 1_000])
def test_integers_take_every_value_equally_often(upper):
    epochs, samples = grid(10, 2_000)
    counts = torch.bincount(sampler.integers(0, epochs, samples, 4, upper), minlength=upper)
    assert len(counts) == upper
    mean = 20_000 / upper
    assert ((counts - mean).abs() < 5 * math.sqrt(mean) + 1e-9).all()


def test_integers_reach_the_largest_bound():
    epochs, samples = grid(1, 4_000)
    values = sampler.integers(0, epochs, samples, 0, 1 << 31)
    assert values.min() >= 0
    assert 0.999 * 2**31 < values.max() < 2**31


def test_normal_has_the_quantiles_of_the_normal_distribution():
    epochs, samples = grid(16, 4_096)
    values = sampler.normal(2, epochs, samples, 0).double().sort().values
    for share in (0.01, 0.1, 0.5, 0.8, 0.99):
        found = values[int(share * len(values))].item()
        assert found == pytest.approx(NormalDist().inv_cdf(share), abs=0.03)
    assert values.abs().max() < 4.4


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 4.0])
def test_beta_has_the_moments_of_the_beta_distribution(alpha):
    epochs, samples = grid(16, 4_096)
    values = sampler.beta(2, epochs, samples, 0, alpha).double()
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.mean().item() == pytest.approx(0.5, abs=0.006)
    assert values.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.02)


def test_beta_of_one_half_is_the_arcsine_distribution():
    epochs, samples = grid(16, 4_096)
    values = sampler.beta(2, epochs, samples, 0, 0.5).double().sort().values
    for share in (0.05, 0.3, 0.9):
        expected = math.sin(math.pi * share / 2) ** 2
        assert values[int(share * len(values))].item() == pytest.approx(expected, abs=0.01)


def test_log_uniform_has_its_median_at_the_geometric_mean():
    epochs, samples = grid(16, 4_096)
    values = sampler.log_uniform(0, epochs, samples, 0, 0.5, 8.0)
    assert values.min() >= 0.5
    assert values.max() <= 8.0
    assert values.median().item() == pytest.approx(2.0, rel=0.03)


def test_draws_have_numbers_of_their_own():
    assert len({int(draw) for draw in Draw}) == len(Draw.__members__)


GOLDEN_BITS = [
    0,
    -2152535657050944081,
    7960286522194355700,
    5197578548964807871,
    -6411193824288604561,
    -5511663747979980962,
]
GOLDEN_INTEGERS = [7, 7, 5, 2, 1, 6]
