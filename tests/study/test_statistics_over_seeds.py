"""Statistics against scipy's own, and against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from reslab.study import statistics

DIFFERENCES = np.array([1.2, 0.4, -0.3, 2.2, 0.9, 1.7])


def test_the_paired_t_test_and_its_interval_are_scipys():
    first = {seed: 10.0 + seed for seed in range(6)}
    second = {seed: 10.0 + seed + float(d) for seed, d in enumerate(DIFFERENCES)}
    found = statistics.paired(first, second | {9: 1.0})
    reference = stats.ttest_rel(list(second.values()), list(first.values()))
    interval = reference.confidence_interval(0.95)
    assert found is not None
    assert found.n == 6
    assert found.p_t == pytest.approx(reference.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_pairs_are_of_the_same_seed():
    assert statistics.paired({0: 1.0}, {1: 2.0}) is None
    found = statistics.paired({0: 1.0, 1: 5.0}, {1: 7.0, 2: 0.0})
    assert found is not None
    assert (found.n, found.mean, found.p_t) == (1, 2.0, 1.0)
    assert found.to_json()["low"] is None


def test_signed_ranks_are_scipys_exact_ones():
    found = statistics.from_zero(DIFFERENCES)
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(DIFFERENCES, method="exact").pvalue)


def test_sign_flips_are_scipys_permutations_of_pairs():
    reference = stats.permutation_test(
        (DIFFERENCES, np.zeros(6)),
        lambda a, b: float(np.mean(a - b)),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert statistics.sign_flip(DIFFERENCES) == pytest.approx(reference.pvalue)


def test_many_sign_flips_are_drawn_and_agree_with_all_of_them():
    sample = np.random.default_rng(0).normal(0.4, 1.0, 15)
    signs = np.array(np.meshgrid(*[[1, -1]] * 15)).reshape(15, -1)
    exact = np.mean(np.abs(sample @ signs) >= abs(sample.sum()) - 1e-12)
    assert statistics.sign_flip(sample) == pytest.approx(exact, abs=0.015)


@given(some.integers(1, 10))
def test_no_sign_flip_p_lies_below_two_in_two_to_the_n(count):
    sample = np.arange(1.0, count + 1)
    assert statistics.sign_flip(sample) == pytest.approx(2 / 2**count)


def test_a_summary_is_worked_out_by_hand():
    found = statistics.summarize([1.0, 2.0, 6.0])
    assert (found.n, found.mean, found.median) == (3, 3.0, 2.0)
    assert found.sd == pytest.approx(math.sqrt(7.0))
    # t(0.975, 2) = 4.302653; the standard error is sqrt(7 / 3).
    half = 4.302653 * math.sqrt(7.0 / 3.0)
    assert (found.low, found.high) == pytest.approx((3.0 - half, 3.0 + half), rel=1e-6)
    alone = statistics.summarize([4.0])
    assert (alone.mean, alone.sd, alone.low, alone.high) == (4.0, None, None, None)


@pytest.mark.parametrize(("count", "factor"), [(3, 0.5642), (5, 0.7979), (11, 0.9228)])
def test_hedges_correction_is_the_tabled_one(count, factor):
    sample = np.arange(count) + 1.0
    found = statistics.from_zero(sample).hedges_g
    assert found == pytest.approx(factor * sample.mean() / sample.std(ddof=1), rel=2e-4)


def test_holms_correction_is_worked_out_by_hand():
    # Sorted 0.01 0.03 0.04 0.20: times 4, 3, 2, 1, and never less than the one before.
    adjusted = statistics.holm([0.04, 0.01, 0.2, 0.03])
    assert adjusted == pytest.approx([0.09, 0.04, 0.2, 0.09])
    assert statistics.holm([0.6, 0.7]) == [1.0, 1.0]


def test_equal_runs_differ_by_nothing():
    found = statistics.from_zero([0.0, 0.0, 0.0])
    assert (found.p_t, found.p_wilcoxon, found.p_sign_flip, found.hedges_g) == (1, 1, 1, None)
    assert (found.low, found.high) == (0.0, 0.0)


def test_differences_that_are_all_alike_leave_the_decision_to_their_signs():
    one_image = 100 / 359
    two = statistics.from_zero([one_image, one_image + 1e-15])
    assert (two.low, two.high, two.p_t) == (-math.inf, math.inf, 0.5)
    six = statistics.from_zero([one_image] * 6)
    assert (six.low, six.high) == pytest.approx((one_image, one_image))
    assert six.p_t == pytest.approx(2 / 2**6)


def test_an_interval_of_three_seeds_covers_the_mean_nineteen_times_in_twenty():
    draw = np.random.default_rng(0)
    found = [statistics.summarize(list(draw.normal(5.0, 1.0, 3))) for _ in range(2000)]
    inside = np.mean([one.low <= 5.0 <= one.high for one in found])
    assert inside == pytest.approx(0.95, abs=0.015)
