"""A figure's numbers, its files and the theme that all of them share."""

from __future__ import annotations

import csv
import math
import re
import xml.etree.ElementTree as ET

import pytest

from reslab.charts.bars import Bars
from reslab.charts.dots import DotRows, Dots
from reslab.charts.figure import Figure, Key, figure_of
from reslab.charts.files import chart_rules, contents, svg_file
from reslab.charts.plot import Plot, Series
from reslab.display.theme import DARK, LIGHT, following, mix, resolved, variables
from reslab.pages.standalone import source, standalone

SVG = "{http://www.w3.org/2000/svg}"
PLOT = Plot(
    title="Error, %",
    x_label="update",
    series=[
        Series(label="ours, <b>", x=[1, 2, 3], y=[9, math.nan, 3], low=[8, 1, 2], high=[10, 5, 4]),
        Series(label="theirs", x=[2, 4], y=[7, 5], color=3, style="dashed"),
    ],
)


def read(text: str) -> list[list[str]]:
    return list(csv.reader(text.splitlines()))


def test_numbers_of_a_plot_are_those_of_its_curves() -> None:
    assert read(figure_of("error", PLOT).csv()) == [
        ["update", "ours, <b>", "ours, <b>, low", "ours, <b>, high", "theirs"],
        ["1", "9", "8", "10", ""],
        ["2", "", "1", "5", "7"],
        ["3", "3", "2", "4", ""],
        ["4", "", "", "", "5"],
    ]


def test_curves_of_one_label_stay_apart_and_a_curve_is_one_with_its_points() -> None:
    line = Series(label="a", x=[1, 2], y=[3, 4])
    points = Series(label="a", x=[1, 2], y=[3, 4], low=[2, 3], high=[4, 5], style="points")
    other = Series(label="a", x=[1, 2], y=[5, 6])
    table = Plot(title="t", x_label="x", series=[line, points, other]).numbers()
    assert [heading for heading, _ in table.columns] == ["x", "a", "a, low", "a, high", "a (3)"]
    assert [row[-1] for row in table.rows] == [5, 6]


def test_numbers_of_bars_and_dots() -> None:
    bars = Bars(title="%", names=["a", "b"], values=[1, math.nan], groups=["", ""], colors=[0, 1])
    assert read(Figure(name="n", title="t", caption="c.", body=bars).csv()) == [
        ["what", "%"], ["a", "1.0"], ["b", ""],
    ]  # fmt: skip
    dots = DotRows(
        [Dots("plain", (3.0, 4.0), 5.0, 0), Dots("none", (), None, 1)], (0, 9), "%", False
    )
    rows = read(Figure(name="n", title="t", caption="c.", body=dots).csv())
    assert rows == [["arm", "%"], ["plain", "3.0"], ["plain", "4.0"]]


@pytest.mark.parametrize("title", ["", "What it costs"])
def test_a_file_has_heading_legend_and_both_themes_without_variables(title: str) -> None:
    figure = Figure(name="error", title=title, caption="What <one> sees.", body=PLOT)
    text = svg_file(figure)
    root = ET.fromstring(text)
    written = [one.text for one in root.iter(f"{SVG}text")]
    assert written[0] == (title or "Error, % by update")
    assert ("Error, % by update" in written[1:]) == bool(title)
    assert {"ours, <b>", "theirs"} <= set(written)
    assert "What <one> sees." in (root.findtext(f"{SVG}title") or "")
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    assert LIGHT.series[3] in light
    assert DARK.series[3] in dark
    assert "var(" not in text
    inner = next(one for one in root.iter(f"{SVG}svg") if one.get("class") == "plot")
    assert float(inner.get("y", "")) + float(inner.get("height", "")) <= float(
        root.get("height", "")
    )
    assert set(contents(figure)) == {".svg", ".csv"}


def test_a_legend_of_ones_own() -> None:
    keys = (Key("all of them", "points", 5),)
    figure = Figure(name="n", title="", caption="c.", body=PLOT, legend=keys)
    assert "all of them" in svg_file(figure)
    assert "theirs" not in [one.text for one in ET.fromstring(svg_file(figure)).iter(f"{SVG}text")]


def test_every_variable_that_a_style_sheet_takes_is_in_the_theme() -> None:
    declared = set(re.findall(r"--([\w-]+):", variables()))
    own = {"columns", "share", "width", "s"}  # set where they are used, one an element
    for css in (source("page.css"), chart_rules()):
        assert set(re.findall(r"var\(--([\w-]+)\)", css)) <= declared | own
    assert "var(" not in resolved(chart_rules(), DARK)


def test_only_rules_with_colors_are_said_twice() -> None:
    css = ".a { fill: var(--ink); } .b { margin: 0; } .c { font: var(--font); }"
    light, dark = following(css).split("@media (prefers-color-scheme: dark)")
    assert (LIGHT.ink in light, DARK.ink in dark) == (True, True)
    assert ".b" in light
    assert ".b" not in dark
    assert ".c" not in dark


def test_a_page_of_one_theme_follows_nobody() -> None:
    page = standalone("drawing.html", theme=DARK, about="<b>", svg="")
    assert "prefers-color-scheme" not in page
    assert f"--paper: {DARK.paper};" in page
    assert "<b>" not in page
    assert "--level0-fill: " + mix(LIGHT.levels[0], LIGHT.paper, LIGHT.level_fill) in variables()
