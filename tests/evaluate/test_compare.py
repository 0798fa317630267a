"""Paired tests against scipy and against drawing images anew; ensembles against the definition."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from reslab.evaluate.compare import compare, mcnemar, reorder_classes, together
from reslab.evaluate.evaluation import Evaluation


def evaluation(correct: list[bool], classes: int = 3) -> Evaluation:
    """Build an evaluation that is right where it is told to be."""
    labels = np.arange(len(correct)) % classes
    given_labels = np.where(correct, labels, (labels + 1) % classes)
    logits = np.eye(classes, dtype=np.float32)[given_labels] * 3
    return Evaluation(logits, labels, np.arange(len(labels)), tuple("abcdefgh"[:classes]))


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_binomial_test(only_first: int, only_second: int) -> None:
    p_exact, p_mid = mcnemar(only_first, only_second)
    count, least = only_first + only_second, min(only_first, only_second)
    if count == 0:
        assert (p_exact, p_mid) == (1.0, 1.0)
        return
    assert p_exact == pytest.approx(binomtest(least, count, 0.5).pvalue)
    mid = 2 * (binom.cdf(least, count, 0.5) - 0.5 * binom.pmf(least, count, 0.5))
    assert p_mid == pytest.approx(min(1.0, mid))
    assert 0 < p_mid <= p_exact <= 1


def test_mcnemar_as_published() -> None:
    """Fagerland et al. 2013, airway hyper-responsiveness: 1 and 7 discordant pairs."""
    p_exact, p_mid = mcnemar(1, 7)
    assert p_exact == pytest.approx(0.0703, abs=5e-5)
    assert p_mid == pytest.approx(0.0391, abs=5e-5)


def test_large_counts_do_not_overflow() -> None:
    p_exact, p_mid = mcnemar(20_000, 20_400)
    assert p_exact == pytest.approx(binomtest(20_000, 40_400, 0.5).pvalue, rel=1e-6)
    assert p_mid < p_exact


def test_the_interval_is_that_of_drawing_images_anew() -> None:
    draw = np.random.default_rng(3)
    one = draw.random(400) < 0.80
    two = np.where(draw.random(400) < 0.1, ~one, one)
    paired = compare(evaluation(one.tolist()), evaluation(two.tolist()))
    assert paired.only_first == int((one & ~two).sum())
    assert paired.only_second == int((two & ~one).sum())
    assert paired.difference_pct == pytest.approx(100 * (two.mean() - one.mean()))
    rows = draw.integers(0, 400, (4000, 400))
    differences = 100 * (two[rows].mean(axis=1) - one[rows].mean(axis=1))
    assert paired.ci95_pct == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=0.35)


def test_pairing_finds_what_two_intervals_do_not() -> None:
    """970 images tell nothing, 27 to 3 tell all: the separate intervals overlap."""
    one = evaluation([True] * 873 + [False] * 97 + [False] * 27 + [True] * 3)
    two = evaluation([True] * 873 + [False] * 97 + [True] * 27 + [False] * 3)
    assert one.ci95_pct[1] > two.ci95_pct[0]
    paired = compare(one, two)
    assert paired.p_mid < 1e-4
    assert paired.ci95_pct[0] > 0
    assert compare(two, one).difference_pct == -paired.difference_pct


def test_a_comparison_is_the_same_each_time_and_is_json() -> None:
    one, two = evaluation([True, False] * 30), evaluation([True, True, False] * 20)
    assert compare(one, two) == compare(one, two)
    value = json.loads(json.dumps(compare(one, two).to_json()))
    assert set(value) >= {"difference_pct", "ci95_pct", "p_exact", "p_mid", "num_images"}


def test_a_model_against_itself() -> None:
    paired = compare(evaluation([True, False]), evaluation([True, False]))
    assert (paired.difference_pct, paired.ci95_pct, paired.p_mid) == (0.0, (0.0, 0.0), 1.0)


def test_together_averages_calibrated_probabilities() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 4, 50)
    members = [
        Evaluation(
            draw.normal(size=(50, 4)).astype(np.float32),
            labels,
            np.arange(50),
            tuple("abcd"),
            temperature=temperature,
        )
        for temperature in (0.5, 1.0, 3.0)
    ]
    ensemble = together(members)
    expected = np.zeros((50, 4))
    for member in members:
        powers = np.exp(member.logits.astype(np.float64) / member.temperature)
        expected += powers / powers.sum(axis=1, keepdims=True) / 3
    np.testing.assert_allclose(ensemble.probabilities(), expected, rtol=1e-5)
    assert ensemble.temperature == 1.0


def test_an_ensemble_of_certainties_stays_finite() -> None:
    sure = evaluation([True, True, False])
    sure = Evaluation(sure.logits * np.float32(1e6), sure.labels, sure.samples, sure.classes)
    assert np.isfinite(together([sure, sure]).logits).all()


def test_images_that_do_not_match_are_never_compared() -> None:
    one = evaluation([True, False, True])
    other = Evaluation(one.logits, one.labels, one.samples[::-1].copy(), one.classes)
    with pytest.raises(AssertionError):
        compare(one, other)
    with pytest.raises(AssertionError):
        together([one, other])


def test_classes_in_another_order_change_no_number() -> None:
    one = evaluation([True, False, True, True, False])
    moved = reorder_classes(one, ("c", "a", "b"))
    assert moved.accuracy_pct == one.accuracy_pct
    assert [moved.classes[i] for i in moved.labels] == [one.classes[i] for i in one.labels]
    assert [moved.classes[i] for i in moved.predictions] == [
        one.classes[i] for i in one.predictions
    ]
    assert moved.nll() == pytest.approx(one.nll())
