import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.charts.plot import Plot, Series, draw


def parse(plot: Plot) -> ElementTree.Element:
    return ElementTree.fromstring(str(draw(plot)))


def curve(element: ElementTree.Element, number: int = 0) -> ElementTree.Element:
    return [g for g in element.iter("g") if "series" in g.get("class", "")][number]


def path_points(d: str) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", d)]


def test_line_goes_through_the_points() -> None:
    plot = Plot(
        title="Error, %",
        x_label="epoch",
        series=[Series(label="training", x=[0, 1, 2], y=[10, 5, 0])],
        limits=(0, 10),
    )
    line = next(p for p in curve(parse(plot)).iter("path") if p.get("class") == "line")
    (x0, y0), (x1, y1), (x2, y2) = path_points(line.get("d", ""))
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.11)
    assert x0 < x2
    assert y0 < y2  # down the page


def test_nan_leaves_a_gap_and_a_lonely_point_a_dot() -> None:
    y = [1.0, math.nan, 2.0, math.nan, 3.0, 4.0]
    series = Series(label="loss", x=[0, 1, 2, 3, 4, 5], y=y)
    group = curve(parse(Plot(title="Loss", x_label="epoch", series=[series])))
    line = next(p for p in group.iter("path") if p.get("class") == "line").get("d", "")
    assert line.count("M") == 3
    assert len(list(group.iter("circle"))) == 2
    assert "nan" not in line


def test_bands_and_whiskers() -> None:
    common = {"label": "mean of 5", "x": [1, 2], "y": [3, 4], "low": [2, 3], "high": [4, 6]}
    band = curve(parse(Plot(title="t", x_label="x", series=[Series(**common)])))
    outline = next(p for p in band.iter("path") if p.get("class") == "band")
    assert len(path_points(outline.get("d", ""))) == 4
    points = Series(**common, style="points", sizes=[3, 6])
    whiskers = curve(parse(Plot(title="t", x_label="x", series=[points])))
    assert len([p for p in whiskers.iter("path") if p.get("class") == "whisker"]) == 2
    assert [c.get("r") for c in whiskers.iter("circle")] == ["3", "6"]


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.floats(-1e12, 1e12), st.just(math.nan), st.just(math.inf)), max_size=20),
    st.sampled_from(["linear", "log"]),
)
def test_any_values_give_well_formed_finite_svg(y: list[float], kind: str) -> None:
    series = Series(label="any", x=list(range(len(y))), y=y)
    plot = Plot(title="t", x_label="x", series=[series], kind=kind)
    for element in parse(plot).iter():
        numbers = " ".join(element.get(k, "") for k in ("d", "x", "y", "cx", "cy", "r"))
        assert "nan" not in numbers
        assert "inf" not in numbers


def test_words_for_those_who_cannot_see_it_are_escaped() -> None:
    series = Series(label='<b>"a"\n\udcff', x=[1, 2], y=[9, 4])
    plot = Plot(title="Loss", x_label="epoch", series=[series], marks=[(1, "</svg>")])
    element = parse(plot)
    label = element.get("aria-label", "")
    assert label.startswith("Loss by epoch.")
    assert "2 values from 9 to 4, least 4" in label
    assert "\\xff" in label
    assert not list(element.iter("b"))


def test_values_for_the_pointer_are_those_of_the_curves() -> None:
    one = Series(label="a", x=[1, 2, 3], y=[0.5, 0.25, math.nan])
    two = Series(label="b", x=[2, 3], y=[7, 8])
    element = parse(Plot(title="t", x_label="epoch", series=[one, two]))
    rows = [row.split() for row in element.get("data-values", "").split(";")]
    assert rows == [["1", "2", "3"], ["0.5", "0.25", "not_a_number"], ["–", "7", "8"]]


def test_unequal_lengths_are_a_bug() -> None:
    with pytest.raises(AssertionError):
        Series(label="a", x=[1], y=[1, 2])
