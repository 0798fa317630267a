"""VGG: the integers, the layers in functions alone, shortcuts, the form for small images."""

import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from families import slow_unless
from reslab import networks
from reslab.errors import UsageError
from reslab.networks.blocks import ResidualBlock
from reslab.networks.cost import measure
from reslab.networks.lrn import LocalResponseNorm
from reslab.networks.network import FeatureMaps, build
from reslab.networks.vgg import VggStageSpec

# Convolutions of each stage, table 1 of the paper.
TABLE = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg11_lrn": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16_c": (2, 2, 3, 3, 3),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
RESIDUAL = ("vgg16_residual", "vgg16_residual_b", "vgg19_residual", "vgg19_residual_b")
NAMES = [entry.name for entry in map(networks.entry, networks.list_models("vgg*"))]


def spec_of(name, **changes):
    return networks.replace(networks.entry(name).spec, **changes)


def narrow(name, **changes):
    """An eighth of the width, so that a test takes no time."""
    spec = spec_of(name, **{"fc_widths": (24, 20), "num_classes": 10, **changes})
    stages = (dataclasses.replace(stage, width=stage.width // 8) for stage in spec.stages)
    return networks.replace(spec, stages=tuple(stages))


def unlike_at_start(network):
    """Give biases and norms values that differ from their start, so that each one matters."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point() and value.dim() == 1:
                value.copy_(torch.rand_like(value) + (0.5 if ".norm" in name else -0.5))
    return network


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("vgg11", 132_863_336, 7_609_090_048),
        ("vgg11_lrn", 132_863_336, 7_609_090_048),
        ("vgg13", 133_047_848, 11_308_466_176),
        ("vgg16_c", 133_638_952, 11_770_888_192),
        ("vgg16", 138_357_544, 15_470_264_320),
        ("vgg19", 143_667_240, 19_632_062_464),
        # torchvision publishes these four.
        ("vgg11_bn", 132_868_840, 7_609_090_048),
        ("vgg13_bn", 133_053_736, 11_308_466_176),
        ("vgg16_bn", 138_365_992, 15_470_264_320),
        ("vgg19_bn", 143_678_248, 19_632_062_464),
        ("vgg16_c_bn", 133_638_952 + 2 * 4_224, 11_770_888_192),
        # Shortcut option A costs nothing; B has 1x1 convolutions 64-128-256-512.
        ("vgg16_residual", 138_357_544, 15_470_264_320),
        ("vgg19_residual", 143_667_240, 19_632_062_464),
        ("vgg16_residual_b", 138_357_544 + 172_032, 15_470_264_320 + 308_281_344),
        ("vgg19_residual_b", 143_667_240 + 172_032, 19_632_062_464 + 308_281_344),
    ],
)
def test_integers(name, params, macs):
    cost = measure(spec_of(name))
    assert (cost.params, cost.macs) == (params, macs)


def test_three_quarters_of_vgg16_are_its_first_fully_connected_layer():
    with torch.device("meta"):
        network = build(spec_of("vgg16"))
    first = network.head.features.fc6.weight.numel()
    assert first == 102_760_448
    assert round(100 * first / sum(p.numel() for p in network.parameters()), 1) == 74.3


@pytest.mark.parametrize("name", TABLE)
def test_layers_are_those_of_the_table(name):
    with torch.device("meta"):
        network = build(spec_of(name))
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    widths = [64] * TABLE[name][0] + [128] * TABLE[name][1] + [256] * TABLE[name][2]
    assert [m.out_channels for m in convolutions] == widths + [512] * sum(TABLE[name][3:])
    small = [number for number, m in enumerate(convolutions) if m.kernel_size == (1, 1)]
    assert small == ([6, 9, 12] if name == "vgg16_c" else [])
    names = [n for n, m in network.named_modules() if isinstance(m, LocalResponseNorm)]
    assert names == (["stem.norm1"] if name == "vgg11_lrn" else [])


def normalised(x, state, name, training):
    if f"{name}.weight" not in state:
        return x
    return F.batch_norm(
        x,
        state[f"{name}.running_mean"].clone(),
        state[f"{name}.running_var"].clone(),
        state[f"{name}.weight"],
        state[f"{name}.bias"],
        training=training,
    )


def layer(x, state, at, number, training):
    """BN(W x + b), where the state has a batch norm; 3x3 pads by one."""
    weight = state[f"{at}conv{number}.weight"]
    x = F.conv2d(x, weight, state[f"{at}conv{number}.bias"], padding=weight.shape[-1] // 2)
    return normalised(x, state, f"{at}norm{number}", training)


def classified(x, state):
    for name in ("fc6", "fc7"):
        x = F.linear(x, state[f"head.features.{name}.weight"], state[f"head.features.{name}.bias"])
        x = F.relu(x)
    return F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"])


def reference(x, state, depths, training=False):
    """VGG of functions alone."""
    for stage, depth in enumerate(depths, start=1):
        for place in range(1, depth + 1):
            at = "stem." if (stage, place) == (1, 1) else f"stages.stage{stage}."
            x = F.relu(layer(x, state, at, f"{stage}_{place}", training))
        x = F.max_pool2d(x, 2)
    return classified(x.flatten(1), state)


@pytest.mark.parametrize(
    ("name", "training"),
    [
        ("vgg11", False),
        ("vgg16_c", False),
        ("vgg19", False),
        ("vgg16_bn", False),
        ("vgg11_bn", True),
    ],
)
def test_it_computes_the_papers_network(name, training):
    torch.manual_seed(0)
    spec = narrow(name, img_size=64, fc_grid=2, dropout=0.0)
    network = unlike_at_start(build(spec)).train(training)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    x = torch.randn(3, 3, 64, 64)
    expected = reference(x, state, TABLE[name.removesuffix("_bn")], training)
    torch.testing.assert_close(network(x), expected)


def test_a_lrn_normalises_the_first_layer():
    torch.manual_seed(0)
    spec = narrow("vgg11_lrn")
    network = build(spec).eval()
    x = 100 * torch.randn(1, 3, 8, 8)
    y = F.relu(F.conv2d(x, network.stem.conv1_1.weight, network.stem.conv1_1.bias, padding=1))
    total = torch.zeros_like(y)
    for i in range(y.shape[1]):
        total[:, i] = (y[:, max(0, i - 2) : i + 3] ** 2).sum(1)
    torch.testing.assert_close(network.stem(x), y / (2 + 1e-4 * total) ** 0.75)


# Convolutions inside each block, stage by stage.
BLOCKS = {16: ((2,), (3,), (3,), (3,)), 19: ((2,), (2, 2), (2, 2), (2, 2))}


def residual_reference(x, state, depth, training):
    """relu(F(x) + shortcut(x)) for the blocks after the first stage, of functions alone."""
    x = F.relu(layer(x, state, "stem.", "1_1", training))
    x = F.relu(layer(x, state, "stages.stage1.", "1_2", training))
    for stage, blocks in enumerate(BLOCKS[depth], start=2):
        x, place = F.max_pool2d(x, 2), 0
        for number, length in enumerate(blocks, start=1):
            at, y = f"stages.stage{stage}.block{number}.", x
            for position in range(length):
                place += 1
                y = F.relu(y) if position else y
                y = layer(y, state, f"{at}branch.", f"{stage}_{place}", training)
            missing = y.shape[1] - x.shape[1]
            if f"{at}shortcut.weight" in state:
                x = F.conv2d(x, state[f"{at}shortcut.weight"])
            elif f"{at}shortcut.conv.weight" in state:
                x = F.conv2d(x, state[f"{at}shortcut.conv.weight"])
                x = normalised(x, state, f"{at}shortcut.norm", training)
            elif missing:
                x = torch.cat([x, torch.zeros_like(x[:, :1]).repeat(1, missing, 1, 1)], 1)
            x = F.relu(y + x)
    return classified(F.max_pool2d(x, 2).flatten(1), state)


@pytest.mark.parametrize("name", RESIDUAL)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_shortcuts_go_around_pairs(name, batch_norm):
    torch.manual_seed(0)
    spec = narrow(name, img_size=64, fc_grid=2, dropout=0.0, batch_norm=batch_norm)
    network = unlike_at_start(build(spec)).train(batch_norm)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    x = torch.randn(3, 3, 64, 64)
    expected = residual_reference(x, state, int(name[3:5]), batch_norm)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [16, 19])
def test_vgg_is_the_residual_network_without_its_shortcuts(depth):
    torch.manual_seed(0)
    plain = build(narrow(f"vgg{depth}")).eval()
    residual = build(narrow(f"vgg{depth}_residual")).eval()
    values = plain.state_dict().values()
    residual.load_state_dict(dict(zip(residual.state_dict(), values, strict=True)))
    for module in residual.modules():
        if isinstance(module, ResidualBlock):
            module.shortcut.register_forward_hook(lambda _m, _i, y: torch.zeros_like(y))
    x = torch.randn(2, 3, 40, 40)
    torch.testing.assert_close(plain(x), residual(x))


@pytest.mark.parametrize("name", RESIDUAL)
def test_sums_do_not_grow_at_the_start(name):
    torch.manual_seed(0)
    maps = FeatureMaps(build(narrow(name)).eval())(torch.randn(4, 3, 64, 64))
    sizes = [float(m.detach().square().mean()) for m in maps]
    assert max(sizes) < 12 * min(sizes[1:])
    fresh = FeatureMaps(build(narrow(name.split("_")[0])).eval())(torch.randn(4, 3, 64, 64))
    assert [m.shape for m in maps] == [m.shape for m in fresh]


@pytest.mark.parametrize("name", NAMES)
def test_the_least_size_is_honest(name):
    with torch.device("meta"):
        network = build(narrow(name))
        assert network.min_size == 32
        assert network(torch.empty(2, 3, 32, 45)).shape == (2, 10)
        assert network(torch.empty(2, 3, 257, 230)).shape == (2, 10)
        with pytest.raises(RuntimeError):
            network.head(network.stages(network.stem(torch.empty(1, 3, 31, 64))))


def test_feature_maps():
    maps = FeatureMaps(build(narrow("vgg11")).eval())
    assert maps.feature_info.module_name() == ["stem"] + [f"stages.stage{i}" for i in (2, 3, 4, 5)]
    maps = FeatureMaps(build(narrow("vgg13")).eval())
    assert maps.feature_info.reduction() == [1, 1, 2, 4, 8, 16]
    assert [m.shape[-1] for m in maps(torch.randn(1, 3, 64, 64))] == [64, 64, 32, 16, 8, 4]


def digits():
    """Real images of 32 pixels: each pixel of the 8x8 digits four times over."""
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:16, None]
    images = (images - images.mean()) / images.std()
    return images.repeat_interleave(4, 2).repeat_interleave(4, 3), torch.tensor(data.target[:16])


@pytest.mark.parametrize(
    "name",
    slow_unless({"vgg11", "vgg16_bn"}, ["vgg11", "vgg11_lrn", "vgg16_c", "vgg16_bn", *RESIDUAL]),
)
def test_the_small_form_learns_digits(name):
    torch.manual_seed(0)
    spec = narrow(name, in_chans=1, img_size=32, dropout=0.0).with_stem("small")
    network = build(networks.replace(spec, fc_widths=(64, 64)))
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    images, labels = digits()
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 1 < 2 < losses[0] < 2.7


def test_the_small_form():
    spec = spec_of("vgg16", img_size=32).with_stem("small")
    assert (spec.fc_grid, spec.fc_widths) == (1, (512, 512))
    assert spec.with_stem("imagenet") == spec_of("vgg16", img_size=32)
    with torch.device("meta"):
        network = build(spec)
        assert network.head.features.pool(
            network.forward_features(torch.empty(1, 3, 32, 32))
        ).shape == (1, 512, 1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_spec_goes_through_json(name):
    for spec in (spec_of(name), spec_of(name).with_stem("small")):
        assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": ()}, "has no stages"),
        ({"stages": (VggStageSpec(width=4, kernels=()),)}, "one without convolutions"),
        ({"stages": (VggStageSpec(width=4, kernels=(2,)),)}, "even side"),
        ({"shortcut": "C"}, "unknown shortcut 'C'"),
    ],
)
def test_what_cannot_be(changes, message):
    with pytest.raises(UsageError, match=message):
        spec_of("vgg16", **changes)


def test_an_unknown_stem():
    with pytest.raises(UsageError, match="unknown stem 'tiny'"):
        spec_of("vgg16").with_stem("tiny")
