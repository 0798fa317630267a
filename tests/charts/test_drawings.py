"""Color maps, contours, bars, points by class and the loss surface's drawing."""

import itertools
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from reslab.charts.bars import Bars, draw_bars
from reslab.charts.colormap import MAGMA, VIRIDIS, colored, heated, hexadecimal, marked
from reslab.charts.contours import contours
from reslab.charts.loss_surface import resampled, surface_figure, tick_label
from reslab.charts.scatter import apart, placed, scatter


@pytest.mark.parametrize("anchors", [VIRIDIS, MAGMA])
def test_colour_maps_grow_lighter_all_the_way(anchors):
    """Perceived lightness (CIE L*) must increase, so that they also work in grey."""
    rgb = colored(np.linspace(0, 1, 64), anchors) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)
    steps = np.diff(lightness)
    assert (steps > 0).all()
    assert steps.max() < 3 * steps.mean()


def test_heat_brightens_and_marks_have_a_sign():
    pixels = np.full((4, 4, 3), 120, dtype=np.uint8)
    hot = heated(pixels, np.array([[0.0, 0.3, 0.6, 1.0]] * 4))
    assert (np.diff(hot[0].astype(int).sum(axis=1)) > 0).all()
    signed = marked(pixels, np.array([[-1.0, 0.0, 0.0, 1.0]] * 4)).astype(int)
    assert signed[0, 0, 2] > signed[0, 0, 0]
    assert signed[0, 3, 0] > signed[0, 3, 2]
    assert len(set(signed[0, 1].tolist())) == 1
    assert hexadecimal(0.0) == "#440154"
    assert hexadecimal(1.0, light=2.0) == "#ffffff"


def test_contours_of_a_cone_are_circles():
    side = np.arange(41) - 20.0
    distance = np.hypot(*np.meshgrid(side, side))
    (line,) = contours(distance, 12.3)
    assert line[0] == line[-1]
    radii = [math.hypot(r - 20, c - 20) for r, c in line]
    assert max(abs(r - 12.3) for r in radii) < 0.05
    length = sum(math.dist(a, b) for a, b in itertools.pairwise(line))
    assert length == pytest.approx(2 * math.pi * 12.3, rel=0.01)


def test_contours_end_at_the_border_and_split_at_saddles():
    ramp = np.tile(np.arange(5.0), (4, 1))
    (line,) = contours(ramp, 1.5)
    assert sorted(line) == [(r, 1.5) for r in (0.0, 1.0, 2.0, 3.0)]
    saddle = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert len(contours(saddle, 0.5)) == 2
    assert contours(np.zeros((3, 3)), 1.0) == []


def test_resampling_is_exact_for_planes_and_goes_through_the_values():
    values = np.random.default_rng(2).random((5, 5))
    np.testing.assert_allclose(resampled(values, 12)[::3, ::3], values)
    assert resampled(values, 40).max() == values.max()
    plane = np.add.outer(np.linspace(0, 3, 5), np.linspace(0, 1, 5))
    expected = np.add.outer(np.linspace(0, 3, 13), np.linspace(0, 1, 13))
    np.testing.assert_allclose(resampled(plane, 12), expected)


def bowl(depth):
    side = np.linspace(-1, 1, 11)
    return depth + np.hypot(*np.meshgrid(side, side)) ** 2


def test_the_surface_is_well_formed_small_and_on_one_scale():
    text = surface_figure([bowl(0.01), bowl(1.0)], ["plain <56>", "resnet56"])
    root = ET.fromstring(text)
    labels = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert labels[0] == "plain <56>"
    assert "resnet56" in labels
    assert len(text) < 600_000
    # Only the deep bowl reaches into the lower half of the shared scale.
    maps = [set(re.findall(r'fill="(#\w+)"', one.split("</g>")[0]))
            for one in re.findall(r'<g shape-rendering.*?</g>', text)]  # fmt: skip
    low = {hexadecimal((band + 0.5) / 12) for band in range(6)}
    assert len(maps) == 2
    assert maps[0] & low
    assert not maps[1] & low
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_a_surface_with_gaps_is_drawn():
    values = bowl(0.5)
    values[0, 0], values[0, 1] = np.nan, np.inf
    numbers = re.findall(r"nan|inf", surface_figure([values], ["x"]))
    assert not [n for n in numbers if n == "nan"]
    assert "NaN" not in surface_figure([np.ones((3, 3))], ["flat"])


def test_bars_stand_on_zero_and_name_their_groups():
    svg = draw_bars(
        Bars(title="t", names=["a", "b", "<c>"], values=[1.0, -1.0, math.nan],
             groups=["one", "one", "two"], colors=[0, 1, 2])
    )  # fmt: skip
    root = ET.fromstring(svg)
    above, below = root.findall("rect")
    assert float(above.get("y")) + float(above.get("height")) == float(below.get("y"))
    assert [e.text for e in root.findall("text")][-2:] == ["one", "two"]
    many = Bars(title="t", names=["a"] * 40, values=[1.0] * 40, groups=[""] * 40, colors=[0] * 40)
    assert many.wide


def test_points_fill_the_square_and_keep_their_scale_where_asked():
    points = np.array([[0.0, 0.0], [4.0, 1.0], [2.0, 0.5]])
    stretched = placed(points, 100, 10, to_scale=False)
    assert stretched.tolist() == [[10, 90], [90, 10], [50, 50]]
    scaled = placed(points, 100, 10, to_scale=True)
    assert scaled.tolist() == [[10, 60], [90, 40], [50, 50]]
    assert np.isfinite(placed(np.zeros((3, 2)), 100, 10, to_scale=True)).all()


def test_names_do_not_cover_each_other():
    anchors = [np.array([50.0, 50.0]), np.array([52.0, 51.0]), np.array([54.0, 66.0])]
    found = apart(anchors, ["cat", "dog", "bird"])
    heights = sorted(y for _, y in found)
    assert all(b - a >= 17 for a, b in itertools.pairwise(heights))
    svg = scatter(np.random.default_rng(0).normal(size=(9, 2)), np.arange(9) % 3,
                  ["<a>", "b", "c", "never"], to_scale=False)  # fmt: skip
    root = ET.fromstring(svg)
    assert len(list(root.iter("circle"))) == 9
    assert sorted(e.text for e in root.iter("text")) == ["<a>", "b", "c"]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0.1, "0.1"),
        (1.0, "1"),
        (10_000.0, "10,000"),
        (1e6, "10⁶"),
        (1e10, "10¹⁰"),
        (2e5, "200,000"),
    ],
)
def test_losses_beside_the_scale_have_room(value, label):
    assert tick_label(value) == label
