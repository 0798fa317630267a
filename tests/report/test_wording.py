import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.display import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (0.0, "0"),
        (1234567, "1,234,567"),
        (1234.5, "1,234"),
        (93.04, "93"),
        (2.314, "2.31"),
        (0.00012, "1.2e-4"),
        (0.0012, "0.0012"),
        (10, "10"),
        (100.0, "100"),
        (None, "–"),
        (math.nan, "not a number"),
        (math.inf, "infinite"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert wording.number(value) == text


@settings(deadline=None)
@given(st.floats(-1e9, 1e9, allow_nan=False))
def test_number_is_within_one_percent(value: float) -> None:
    assert float(wording.number(value).replace(",", "")) == pytest.approx(value, rel=0.01, abs=1e-9)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.26, "3.3 s"),
        (38, "38 s"),
        (59.7, "1 min"),
        (725, "12 min 5 s"),
        (7380, "2 h 3 min"),
        (None, "–"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert wording.duration(seconds) == text


def test_two_decimals_only_where_images_support_them() -> None:
    assert wording.percent(93.456, 10_000) == "93.46"
    assert wording.percent(93.456, 360) == "93.5"


def test_large() -> None:
    assert wording.large(269_722) == "269,722"
    assert wording.large(11_689_512) == "11.7 million"
    assert wording.large(3_600_000_000) == "3.6 billion"


@settings(deadline=None)
@given(st.text(), st.integers(3, 40))
def test_shortened_keeps_both_ends(text: str, length: int) -> None:
    short = wording.shortened(text, length)
    assert len(short) <= max(length, 0)
    assert short[:1] == text[:1]
    assert short[-1:] == text[-1:]


def test_listed() -> None:
    assert wording.listed([]) == ""
    assert wording.listed(["a"]) == "a"
    assert wording.listed(["a", "b", "c"]) == "a, b and c"
