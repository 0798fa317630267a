"""Metrics against scikit-learn, published intervals and loops that read like the definition."""

from __future__ import annotations

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from reslab.errors import DataError, DivergedError
from reslab.evaluate.evaluation import NUM_BINS, Evaluation, fit_temperature
from reslab.evaluate.statistics import softmax, wilson_pct


def evaluation(
    count: int = 500, classes: int = 7, seed: int = 0, sharpness: float = 2.0, absent: int = 0
) -> Evaluation:
    """Draw logits that are right more often than not; the last classes never occur."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes - absent, count)
    logits = draw.normal(size=(count, classes)).astype(np.float32)
    logits[np.arange(count), labels] += 1.0
    return Evaluation(
        logits=logits * np.float32(sharpness),
        labels=labels,
        samples=np.arange(count),
        classes=tuple(f"class {i}" for i in range(classes)),
    )


@pytest.mark.parametrize("seed", range(4))
def test_per_class_and_confusion_are_those_of_scikit_learn(seed: int) -> None:
    found = evaluation(count=60, seed=seed, absent=2)
    names = range(len(found.classes))
    np.testing.assert_array_equal(
        found.confusion, confusion_matrix(found.labels, found.predictions, labels=names)
    )
    precision, recall, f1, support = precision_recall_fscore_support(
        found.labels, found.predictions, labels=names, zero_division=np.nan
    )
    for i, score in enumerate(found.per_class):
        assert score.label == f"class {i}"
        assert score.support == support[i]
        for own, other in zip(
            (score.precision_pct, score.recall_pct, score.f1_pct),
            (precision[i], recall[i], f1[i]),
            strict=True,
        ):
            assert (math.nan if own is None else own) == pytest.approx(100 * other, nan_ok=True)


def test_a_number_that_has_no_meaning_is_none() -> None:
    logits = np.array([[2, 1, 0], [1, 2, 0]], np.float32)
    found = Evaluation(logits, np.array([0, 0]), np.arange(2), ("seen", "guessed", "never"))
    seen, guessed, never = found.per_class
    assert (seen.precision_pct, seen.recall_pct, seen.support) == (100.0, 50.0, 2)
    assert (guessed.precision_pct, guessed.recall_pct, guessed.f1_pct) == (0.0, None, 0.0)
    assert (never.precision_pct, never.recall_pct, never.f1_pct) == (None, None, None)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
        (81, 263, 25.53, 36.62),
        (15, 148, 6.24, 16.05),
        (0, 20, 0.0, 16.11),
        (1, 29, 0.61, 17.18),
    ],
)
def test_wilson_is_as_published(hits: int, count: int, low: float, high: float) -> None:
    assert wilson_pct(hits, count) == pytest.approx((low, high), abs=0.006)


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilson_solves_its_equation(count: int, share: float) -> None:
    """The ends are the p with (p - hits/n)^2 = z^2 p (1 - p) / n."""
    hits = round(share * count)
    z2 = 1.959963984540054**2
    a, b, c = 1 + z2 / count, -(2 * hits / count + z2 / count), (hits / count) ** 2
    roots = sorted(100 * root for root in np.roots([a, b, c]).real)
    assert wilson_pct(hits, count) == pytest.approx(roots, abs=1e-5)
    low, high = wilson_pct(hits, count)
    assert 0 <= low <= 100 * hits / count <= high <= 100


def test_top_k_counts_by_sorting() -> None:
    found = evaluation()
    order = np.argsort(-found.logits, axis=1, kind="stable")
    for k in (1, 2, 5, 7):
        expected = 100 * np.mean([y in row[:k] for y, row in zip(found.labels, order, strict=True)])
        assert found.top_pct(k) == pytest.approx(expected)
    assert found.top_pct(1) == found.accuracy_pct
    assert found.top5_pct == found.top_pct(5)


def test_top_5_of_few_classes_is_clamped_and_named() -> None:
    found = evaluation(classes=3)
    assert (found.top_k, found.top5_pct) == (3, 100.0)
    assert found.to_json()["top_k"] == 3


def test_equal_logits_give_the_first_class_and_no_free_hits() -> None:
    labels = np.arange(10)
    found = Evaluation(np.zeros((10, 10), np.float32), labels, labels, tuple("abcdefghij"))
    assert found.accuracy_pct == 10.0
    assert found.top5_pct == 50.0


def ece_by_loop(probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    total = 0.0
    for i in range(NUM_BINS):
        inside = []
        for p, y in zip(probabilities, labels, strict=True):
            if i / NUM_BINS < p.max() <= (i + 1) / NUM_BINS:
                inside.append((p.max(), p.argmax() == y))
        if inside:
            confidence, accuracy = np.mean(inside, axis=0)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return 100 * total


@pytest.mark.parametrize("sharpness", [0.3, 2.0, 30.0])
def test_calibration_error_is_that_of_a_plain_loop(sharpness: float) -> None:
    found = evaluation(sharpness=sharpness)
    assert found.ece_pct == pytest.approx(ece_by_loop(found.probabilities(), found.labels))
    bins = found.reliability()
    assert sum(b.count for b in bins) == len(found)
    assert all(b.low < b.confidence <= b.high for b in bins if b.count)


def test_probabilities_and_loss_are_those_of_scikit_learn() -> None:
    found = evaluation(sharpness=3)
    powers = np.exp(found.logits.astype(np.float64) / 1.7)
    np.testing.assert_allclose(
        found.probabilities(1.7), powers / powers.sum(axis=1, keepdims=True), atol=1e-12
    )
    names = range(len(found.classes))
    assert found.nll() == pytest.approx(log_loss(found.labels, found.probabilities(), labels=names))
    assert found.nll(2.5) == pytest.approx(
        log_loss(found.labels, found.probabilities(2.5), labels=names)
    )


def test_huge_logits_do_not_overflow() -> None:
    logits = np.array([[1e30, -1e30], [3e38, 0]], np.float32)
    found = Evaluation(logits, np.array([0, 0]), np.arange(2), ("a", "b"))
    assert found.nll() == 0.0
    np.testing.assert_array_equal(found.probabilities(), [[1, 0], [1, 0]])


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 6.0])
def test_the_temperature_is_the_best_of_a_fine_grid(sharpness: float) -> None:
    found = evaluation(count=4000, sharpness=sharpness)
    fitted = fit_temperature(found.logits, found.labels)
    grid = np.geomspace(fitted / 1.5, fitted * 1.5, 101)
    losses = [found.nll(t) for t in grid]
    assert fitted == pytest.approx(grid[int(np.argmin(losses))], rel=0.02)
    assert found.nll(fitted) <= min(losses) + 1e-5


def test_a_known_temperature_is_found_again() -> None:
    """Labels drawn from softmax(z) make T = 1 right, so 3 z asks for T = 3."""
    draw = np.random.default_rng(1)
    z = draw.normal(size=(20_000, 5)) * 2
    labels = (softmax(z).cumsum(axis=1) > draw.random((20_000, 1))).argmax(axis=1)
    assert fit_temperature(3 * z, labels) == pytest.approx(3, rel=0.03)


def test_few_images_that_are_all_right_do_not_make_certainty() -> None:
    logits = np.full((18, 3), -4.0)
    labels = np.arange(18) % 3
    logits[np.arange(18), labels] = 4.0
    fitted = fit_temperature(logits, labels)
    assert softmax(logits, fitted).max() == pytest.approx(19 / 20, abs=1e-4)


def test_extremes_of_the_temperature_are_bounded() -> None:
    wrong = np.array([[9.0, 0.0]] * 50)
    assert fit_temperature(wrong, np.ones(50, np.int64)) == 20.0
    assert fit_temperature(np.zeros((5, 1)), np.zeros(5, np.int64)) == 1.0


def test_json_is_what_scripts_rely_on() -> None:
    value = json.loads(json.dumps(evaluation().to_json(), allow_nan=False))
    assert {"accuracy_pct", "top5_pct", "ci95_pct", "num_images", "per_class", "ece_pct"} <= set(
        value
    )
    assert len(value["ci95_pct"]) == 2
    assert set(value["per_class"][0]) == {
        "label",
        "precision_pct",
        "recall_pct",
        "f1_pct",
        "support",
    }


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_never_measured(bad: float) -> None:
    """NaN compares false with everything: it must not pass for a right answer."""
    logits = np.zeros((3, 2), np.float32)
    logits[1, 0] = bad
    with pytest.raises(DivergedError, match="1 of 3 images"):
        Evaluation(logits, np.zeros(3, np.int64), np.arange(3), ("a", "b"))


def test_no_images_are_an_error_not_a_division_by_zero() -> None:
    none = np.zeros(0, np.int64)
    with pytest.raises(DataError, match="no images"):
        Evaluation(np.zeros((0, 2), np.float32), none, none, ("a", "b"))
