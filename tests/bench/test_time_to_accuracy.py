"""How far a recipe would come: the law through its short schedules."""

import math

import pytest
from bench.time_to_accuracy import extrapolated


def runs(law, *epochs):
    return [{"epochs": n, "accuracy_pct": 100 - law(n)} for n in epochs]


@pytest.mark.parametrize(
    ("floor", "factor", "slope"), [(0.0, 80, 0.5), (8.0, 60, 0.9), (12, 30, 2)]
)
def test_a_law_is_found_again(floor, factor, slope):
    law = lambda n: floor + factor * n**-slope  # noqa: E731
    found, error = extrapolated(runs(law, 4, 8, 16), 130)
    assert found == pytest.approx(floor, abs=0.1)
    assert error == pytest.approx(law(130), abs=0.1)


def test_two_lengths_know_no_floor():
    floor, error = extrapolated(runs(lambda n: 10 + 40 / n, 4, 8), 130)
    assert floor == 0
    assert error == pytest.approx(20 * (15 / 20) ** math.log2(130 / 4))


def test_errors_that_do_not_bend_have_no_floor():
    floor, _ = extrapolated(runs(lambda n: 50 - 2 * n, 4, 8, 16), 130)
    assert floor == 0


def test_a_schedule_of_the_whole_length_needs_no_law():
    whole = [{"epochs": 130, "accuracy_pct": 88.0}, {"epochs": 130, "accuracy_pct": 89.0}]
    assert extrapolated(whole, 130.0) == (11.5, 11.5)
    assert extrapolated([{"epochs": 4, "accuracy_pct": 60.0}, *whole], 129.6) == (11.5, 11.5)
