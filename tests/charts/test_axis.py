import itertools
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reslab.charts.axis import Axis, enclosing, linear_ticks, log_ticks

values = st.floats(-1e6, 1e6, allow_nan=False)


@settings(deadline=None)
@given(values, values, st.integers(2, 8))
def test_linear_ticks_are_round_evenly_spaced_and_inside(a: float, b: float, about: int) -> None:
    low, high = min(a, b), max(a, b)
    assume(high - low > 1e-6 * max(1.0, abs(low), abs(high)))
    ticks = linear_ticks(low, high, about)
    slack = (high - low) * 1e-6
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert len(ticks) <= about + 1
    steps = [y - x for x, y in itertools.pairwise(ticks)]
    if steps:
        power = 10 ** math.floor(math.log10(steps[0]) + 1e-9)
        assert any(steps[0] / power == pytest.approx(f, rel=1e-3) for f in (1, 2, 5))
        assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-3)


@settings(deadline=None)
@given(st.floats(1e-6, 1e3), st.floats(1.5, 1e6))
def test_log_ticks_are_inside_and_increase(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert ticks == sorted(set(ticks))
    assert all(low * 0.999 <= tick <= low * factor * 1.001 for tick in ticks)
    assert len(ticks) >= 2


def test_scale_maps_ends_and_middle() -> None:
    linear = Axis(0, 10, 100, 0)
    assert [linear(v) for v in (0, 5, 10)] == [100, 50, 0]
    log = Axis(0.1, 10, 0, 200, "log")
    assert [log(v) for v in (0.1, 1, 10)] == pytest.approx([0, 100, 200])
    assert log(0.0) < 0


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(0, 1e6), st.just(math.nan))))
def test_enclosing_holds_every_value_and_starts_at_zero(values: list[float]) -> None:
    low, high = enclosing(values)
    assert low == 0
    assert low < high
    assert all(v <= high * (1 + 1e-9) for v in values if math.isfinite(v))


def test_enclosing_log_ignores_what_it_cannot_show() -> None:
    low, high = enclosing([0.0, -1.0, 0.5, 2.0, math.nan], "log")
    assert 0 < low <= 0.5
    assert high >= 2.0
    assert enclosing([0.0], "log") == (0.1, 1.0)
