"""What is drawn of a network: its layers, its shortcuts, its branches, its repeats."""

from __future__ import annotations

import functools
import re
from collections import Counter

import pytest
import torch
from torch import nn

from families import slow_unless
from reslab import models
from reslab.draw import Drawing, draw
from reslab.draw.fold import fold
from reslab.draw.layers import LayerGroup
from reslab.draw.networks import traced
from reslab.draw.shapes import Arc, Column
from reslab.draw.structure import Box, Fork, Item, Repeat, items
from reslab.networks.network import build


@functools.cache
def drawing(name: str, folded: bool | None = None) -> Drawing:
    return draw([models.named_spec(name)], folded=folded)


def column(name: str, folded: bool | None = None) -> Column:
    (only,) = drawing(name, folded).columns
    return only


def arcs(name: str) -> tuple[Arc, ...]:
    return column(name).arcs


def texts(name: str) -> list[str]:
    return [node.text for node in column(name).nodes]


def words(found: Column) -> list[str]:
    return [label.text for label in found.labels]


@pytest.mark.parametrize(
    ("name", "convolutions", "linear", "depth"),
    [
        ("vgg19", 16, 3, 19),
        ("plain34", 33, 1, 34),
        ("resnet34", 33, 1, 34),
        ("resnet20", 19, 1, 20),
        ("alexnet", 5, 3, 8),
        ("googlenet", 57, 1, 22),
        ("preact_resnet18", 17, 1, 18),
        ("highway19", 32, 1, 19),
        ("squeezenet1_0", 26, 0, 18),
        ("mobilenet_v1", 27, 1, 28),
    ],
)
def test_the_layers_that_the_papers_count(name, convolutions, linear, depth):
    looks = Counter(node.look for node in column(name, False).nodes)
    assert looks["conv"] == convolutions
    assert looks["fc"] == linear
    assert f"{depth} layers" in words(column(name, False))


@pytest.mark.parametrize(
    "name",
    ["vgg16_residual_b", "shufflenet_v1_g3", "highway10", "resnet20_exclusive_gate",
     *slow_unless((), ["resnet34_c", "resnet50_v15", "inception_v4", "googlenet_bn"])],
)  # fmt: skip
def test_every_weight_layer_is_a_box_or_on_an_arc(name):
    with torch.device("meta"):
        network = build(models.named_spec(name))
    weights = {
        path
        for path, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and not path.startswith("auxiliary.")
    }
    found = column(name, False)
    drawn = [n.about.split(":")[0] for n in found.nodes if n.look in ("conv", "fc")]
    drawn += [arc.about.split(":")[0] for arc in found.arcs if "1×1" in arc.text]
    assert sorted(drawn) == sorted(weights)


@pytest.mark.parametrize("name", ["vgg19", "resnet34", "preact_resnet18", "highway10"])
def test_the_pointer_shows_every_parameter_once(name):
    with torch.device("meta"):
        network = build(models.named_spec(name))
    found = column(name, False)
    shown = " ".join(one.about for one in (*found.nodes, *found.arcs))
    counts = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) parameters", shown)]
    assert sum(counts) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "solid", "dotted", "projected"),
    [
        ("plain34", 0, 0, 0),
        ("vgg19", 0, 0, 0),
        ("resnet34", 13, 3, 3),
        pytest.param("resnet34_a", 13, 3, 0, marks=pytest.mark.slow),
        pytest.param("resnet34_c", 13, 3, 16, marks=pytest.mark.slow),
        ("resnet20", 7, 2, 0),
        ("resnet50", 12, 4, 4),
        ("preact_resnet18", 5, 3, 3),
        ("highway19", 14, 0, 0),
        ("squeezenet1_0_simple", 4, 0, 0),
        ("googlenet", 0, 0, 0),
    ],
)
def test_shortcuts(name, solid, dotted, projected):
    found = arcs(name)
    assert sum(not arc.dotted for arc in found) == solid
    assert sum(arc.dotted for arc in found) == dotted
    assert sum(arc.text == "1×1" for arc in found) == projected


def test_what_else_is_on_a_shortcut():
    assert {arc.text for arc in arcs("resnet20_scaled")} == {"× 0.5"}
    assert {arc.text for arc in arcs("resnet20_dropout_shortcut")} == {"dropout"}
    assert texts("resnet20_halved").count("× 0.5") == 9
    assert texts("resnet20_scaled").count("× 0.5") == 0


def test_figure_3_of_the_residual_network_paper():
    third = draw([models.named_spec(name) for name in ("vgg19", "plain34", "resnet34")])
    sizes = [label.text for label in third.labels]
    assert sizes == [f"output size: {side}" for side in (224, 112, 56, 28, 14, 7, 1)]
    vgg, plain, residual = third.columns
    assert [node.text for node in plain.nodes] == [node.text for node in residual.nodes]
    assert [node.y for node in plain.nodes] == [node.y for node in residual.nodes]
    expected = ["7×7 conv, 64, /2", "3×3 max pool, /2"]
    for width, depth in ((64, 6), (128, 8), (256, 12), (512, 6)):
        first = f"3×3 conv, {width}" + (", /2" if width > 64 else "")
        expected += [first, *[f"3×3 conv, {width}"] * (depth - 1)]
    assert [node.text for node in residual.nodes] == [*expected, "avg pool", "fc 1000"]
    rows = {label.text: label.y for label in third.labels}
    for found, text, size in (
        (vgg, "fc 4096", 1),
        (residual, "avg pool", 1),
        (residual, "7×7 conv, 64, /2", 112),
        (residual, "3×3 conv, 512, /2", 7),
    ):
        node = next(node for node in found.nodes if node.text == text)
        assert node.y + node.height / 2 == rows[f"output size: {size}"]
    assert "21.8M parameters" in words(residual)
    assert "3.66G multiply-adds" in words(residual)
    assert "19.6G multiply-adds" in words(vgg)


def test_output_sizes_of_one_network_stand_at_the_left_wherever_they_change():
    sizes = [int(label.text.split()[-1]) for label in drawing("inception_v4").labels]
    assert sizes == [149, 147, 73, 71, 35, 17, 8, 1]


def test_networks_for_other_sizes_say_their_own():
    pair = draw([models.named_spec("resnet20"), models.named_spec("resnet18")])
    assert [label.text for label in pair.labels if "output" in label.text][-1] == "output size: 1"
    cifar, imagenet = ([w for w in words(c) if w.startswith("size")] for c in pair.columns)
    assert cifar == ["size 16", "size 8"]
    assert imagenet == ["size 112", "size 56"]


def test_inception_modules_and_auxiliary_classifiers():
    found = texts("googlenet")
    assert found.count("auxiliary classifier") == 2
    outputs = [int(text.split()[-1]) for text in found if text.startswith("concat")]
    assert outputs == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    spec = models.named_spec("googlenet")
    modules = [row.item for row in traced(spec).rows if isinstance(row.item, Fork)]
    assert [[len(branch) for branch in module.branches] for module in modules] == [[1, 2, 2, 2]] * 9


def test_gates_stand_beside_the_shortcut_they_open():
    spec = models.named_spec("highway10")
    forks = [row.item for row in traced(spec).rows if isinstance(row.item, Fork)]
    assert len(forks) == 8
    for fork in forks:
        assert fork.join is not None
        assert fork.join.kind == "gate"
        assert [branch[-1].layer.gated for branch in fork.branches] == [False, True]
        assert len(fork.shortcuts) == 1


def test_an_activation_before_the_branch_is_drawn_where_it_is():
    spec = models.named_spec("preact_resnet20")
    residual = [row.item for row in traced(spec).rows if isinstance(row.item, Fork)]
    inner = [[box.layer.text for box in fork.branches[0]] for fork in residual]
    assert inner[1] == ["BN, ReLU", "3×3 conv, 16", "3×3 conv, 16"]
    assert "BN, ReLU" not in texts("resnet20")


def weighted(found: tuple[Item, ...]) -> int:
    """Count weight layers, those of a repeat as often as it runs."""
    total = 0
    for item in found:
        match item:
            case Box(layer):
                total += layer.weighted
            case Fork(branches, _, _):
                total += sum(weighted(branch) for branch in branches)
            case Repeat(inner, count):
                total += count * weighted(inner)
    return total


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        pytest.param("resnet152", [2, 7, 35, 2], marks=pytest.mark.slow),
        pytest.param("plain110", [37, 35, 35], marks=pytest.mark.slow),
        ("vgg19", [2, 2, 4, 4, 4, 2]),
        pytest.param("inception_resnet_v2", [5, 10, 5], marks=pytest.mark.slow),
    ],
)
def test_repeats_are_drawn_once_with_their_count(name, counts):
    unfolded = traced(models.named_spec(name), False).items
    assert not any(isinstance(item, Repeat) for item in unfolded)
    folded = fold(unfolded)
    assert [item.count for item in folded if isinstance(item, Repeat)] == counts
    assert weighted(folded) == weighted(unfolded)


def test_only_tall_networks_are_folded_unasked():
    assert not column("resnet34").braces
    assert [brace.text for brace in column("resnet152").braces] == ["× 2", "× 7", "× 35", "× 2"]
    assert len(column("resnet152").nodes) == 3 * 8 + 4


def layer(text: str, *inputs: int, kind: str = "conv") -> LayerGroup:
    return LayerGroup(kind, text, (8, 4, 4), inputs)  # type: ignore[arg-type]


def test_folding_takes_the_longest_run():
    run = [Box(layer(text)) for text in "abababcccd"]
    assert [
        (one.count, len(one.items)) if isinstance(one, Repeat) else one.layer.text
        for one in fold(run)
    ] == [(3, 2), (3, 1), "d"]


def test_nested_branches_without_a_join_of_their_own_end_in_the_outer_one():
    # Inception-v4, figure 6: one 1x1 convolution feeds 1x3 and 3x1, all end in one concat.
    found = items(
        [
            layer("image", kind="image"),
            layer("in", 0),
            layer("1×1", 1),
            layer("1×3", 2),
            layer("3×1", 2),
            layer("pool", 1, kind="pool"),
            layer("concat", 3, 4, 5, kind="concat"),
        ]
    )
    _, fork = found
    assert isinstance(fork, Fork)
    first, second = fork.branches
    assert [type(item) for item in first] == [Box, Fork]
    assert first[1].join is None
    assert [branch[0].layer.text for branch in first[1].branches] == ["1×3", "3×1"]
    assert second[0].layer.text == "pool"


def test_branches_that_cross_are_drawn_in_the_order_they_run():
    found = items(
        [
            layer("image", kind="image"),
            layer("in", 0),
            layer("a", 1),
            layer("b", 1),
            layer("c", 2, 3),
            layer("d", 2, 3),
            layer("join", 4, 5, kind="concat"),
            layer("out", 6),
        ]
    )
    assert [type(item) for item in found] == [Box, Fork, Box]
    assert [box.layer.text for box in found[1].branches[0]] == ["a", "b", "c", "d"]


def test_a_network_without_a_classifier_and_with_another_stem():
    spec = models.named_spec("resnet18", num_classes=0, img_size=32, stem="small")
    found = draw([spec])
    assert found.columns[0].nodes[-1].text == "avg pool"
    assert found.columns[0].nodes[0].text == "3×3 conv, 64"


def test_drawing_leaves_the_network_as_it_was():
    from reslab.draw.graph import trace

    with torch.device("meta"):
        network = build(models.named_spec("resnet20"))
    trace(network)
    assert network.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
