"""Nothing overlaps, whatever the network: boxes, labels, wires and arcs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from reslab import models, networks
from reslab.draw import Drawing, draw, text
from reslab.draw.shapes import Arc, Column, Node
from reslab.draw.structure import Fork

SIZES = {"name": 15, "title": 19, "sub": 12, "size": 12}
TOGETHER = [
    ("vgg19", "plain34", "resnet34"),
    ("vgg19", "inception_v4", "resnet20"),
    ("highway10", "squeezenet1_0_complex", "preact_resnet18"),
]
MORE_TOGETHER = [
    ("inception_resnet_v2", "resnet56", "googlenet"),
    ("resnet20_exclusive_gate", "resnet20_halved", "shufflenet_v1_g3"),
    ("alexnet", "mobilenet_v1", "vgg16_residual_b", "resnet34_c"),
]
Box = tuple[float, float, float, float, str]


def boxes(drawing: Drawing) -> Iterator[Box]:
    """Yield left, top, right, bottom of all that must not touch."""
    labels = list(drawing.labels)
    for column in drawing.columns:
        labels += column.labels
        for node in column.nodes:
            yield node.x, node.y, node.x + node.width, node.y + node.height, node.text
        for brace in column.braces:
            wide, middle = text.width(brace.text, 12, bold=True), (brace.top + brace.bottom) / 2
            yield brace.x - 12 - wide, middle - 6, brace.x, middle + 6, brace.text
        for arc in column.arcs:
            wide, middle = text.width(arc.text, 10.5), (arc.top + arc.bottom) / 2
            reach = arc.edge + arc.reach
            yield arc.edge + 1, arc.top, max(reach, reach + wide / 2), arc.bottom, "arc"
            if arc.text:
                yield reach + 1, middle - 8, reach + wide / 2, middle + 8, arc.text
    for label in labels:
        size = SIZES[label.style]
        wide = text.width(label.text, size, bold=label.style in ("name", "title"))
        left = label.x - {"start": 0.0, "middle": wide / 2, "end": wide}[label.anchor]
        yield left, label.y - size / 2, left + wide, label.y + size / 2, label.text


def check(drawing: Drawing) -> None:
    found = list(boxes(drawing))
    for box in found:
        assert box[0] >= 0, box
        assert box[1] >= 0, box
        assert box[2] <= drawing.width, box
        assert box[3] <= drawing.height, box
    for one, other in itertools.combinations(found, 2):
        if "arc" in (one[4], other[4]) and "arc" not in (one[4] + other[4]).replace("arc", "", 1):
            continue  # an arc and its own label
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)
    for column in drawing.columns:
        check_texts(column)
        check_wires(column)
        for arc in column.arcs:
            check_arc(arc, column)


def check_texts(column: Column) -> None:
    for node in column.nodes:
        if node.look != "dot":
            size = 12 if node.look in ("conv", "fc", "pool") else 10.5
            assert text.width(node.text, size) <= node.width - 8, node


def check_wires(column: Column) -> None:
    """Wires run straight, never through a box."""
    for wire in column.wires:
        for (x1, y1), (x2, y2) in itertools.pairwise(wire.points):
            assert x1 == x2 or y1 == y2, wire
            assert y2 >= y1, wire
            for node in column.nodes:
                beside = max(x1, x2) <= node.x or min(x1, x2) >= node.x + node.width
                assert beside or max(y1, y2) <= node.y or min(y1, y2) >= node.y + node.height


def check_arc(arc: Arc, column: Column) -> None:
    """An arc leaves and arrives between boxes, and goes around all that it bridges."""
    assert arc.top < arc.bottom
    bridged = [n for n in column.nodes if arc.top < n.y + n.height / 2 < arc.bottom]
    assert bridged
    for node in column.nodes:
        inside = node.x < arc.x < node.x + node.width
        assert not (inside and node.y < arc.top < node.y + node.height), node
        if node in bridged and arc.bottom > node.y + node.height:
            assert node.x + node.width <= arc.edge + 0.01, node
        if node.y < arc.bottom < node.y + node.height and node.x <= arc.x:
            assert arc.end == pytest.approx(node.x + node.width)


@pytest.mark.parametrize("names", TOGETHER, ids="-".join)
def test_nothing_overlaps(names):
    check(draw([models.named_spec(name) for name in names], title="Networks"))


@pytest.mark.slow
@pytest.mark.parametrize("names", MORE_TOGETHER, ids="-".join)
def test_nothing_overlaps_in_more_of_them(names):
    check(draw([models.named_spec(name) for name in names], folded=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", networks.list_models())
def test_nothing_overlaps_in_any_network(name):
    check(draw([models.named_spec(name)]))


def test_a_title_wider_than_the_networks_has_room():
    check(draw([models.named_spec("resnet20")], title="A very long line above one network " * 3))


def test_other_channels_are_said():
    column = draw([models.named_spec("resnet20", in_chans=1)]).columns[0]
    assert "image 32×32×1" in [label.text for label in column.labels]


def test_rows_of_one_output_size_begin_together():
    trio = draw([models.named_spec(name) for name in ("resnet18", "resnet34", "resnet50")])
    firsts: list[dict[int, float]] = []
    for column in trio.columns:
        tops: dict[int, float] = {}
        for node in column.nodes:
            side = node.about.split("→ ")[1].split("\n")[0].split(",")[0].split("×")
            tops.setdefault(int(side[1]) if len(side) == 3 else 1, node.y)
        firsts.append(tops)
    assert firsts[0] == firsts[1] == firsts[2]
    assert set(firsts[0]) == {112, 56, 28, 14, 7, 1}


def test_colours_follow_the_output_size():
    for column in draw([models.named_spec(n) for n in ("vgg19", "resnet34")]).columns:
        levels: dict[str, set[int]] = {}
        for node in column.nodes:
            if node.look == "conv":
                side = node.about.split("→ ")[1].split("×")[1]
                levels.setdefault(side, set()).add(node.level)
        assert all(len(those) == 1 for those in levels.values())
        assert len({min(those) for those in levels.values()}) == len(levels)


def test_crossing_branches_are_placed_too():
    from test_draw_structure import layer

    from reslab.draw.place import Placer
    from reslab.draw.structure import items

    found = items(
        [
            layer("image", kind="image"),
            layer("in", 0),
            layer("a", 1),
            layer("b", 1),
            layer("+", 2, 3, kind="sum"),
            layer("d", 2, 3),
            layer("join", 4, 5, kind="concat"),
        ]
    )
    placer = Placer(100.0, 60.0)
    assert isinstance(found[1], Fork)
    placer.place(found[1], 0.0, [((100.0, -20.0),)], 0)
    places: list[Node] = sorted(placer.nodes, key=lambda node: node.y)
    assert [node.text for node in places] == ["a", "b", "+", "d", "join"]
    assert all(a.y + a.height < b.y for a, b in itertools.pairwise(places))
    assert places[2].width == places[2].height
