"""The Keras tutorial's network: its integers, its graph with Keras' paddings, its errors."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.cost import measure
from reslab.networks.keras_tutorial import KerasTutorialSpec, SamePadding
from reslab.networks.network import FeatureMaps, build

NAMES = networks.list_models("keras_preact*")
TINY = KerasTutorialSpec(
    name="tiny", num_classes=5, img_size=64, stages=(2, 1, 2), filters=(8, 8, 16, 32)
)


def spec_of(name, **changes):
    return networks.replace(networks.entry(name).spec, **changes)


@pytest.mark.parametrize(
    ("name", "changes", "trainable", "total", "macs"),
    [
        ("keras_preact_9_9_9", {}, 877_072, 889_430, 150_473_216),
        ("keras_preact_3_4_6", {}, 2_154_576, 2_168_278, 282_858_496),
        ("keras_preact_9_9_9", {"num_classes": 200}, 877_072 + 190 * 257, None, None),
        ("keras_preact_3_4_6", {"num_classes": 200}, 2_252_046, 2_265_748, None),
        (
            "keras_preact_9_9_9",
            {"img_size": 32, "global_pool": True},
            877_072,
            889_430,
            37_620_224,
        ),
        (
            "keras_preact_3_4_6",
            {"img_size": 32, "global_pool": True},
            2_154_576,
            2_168_278,
            70_718_464,
        ),
        ("keras_preact_9_9_9_cifar", {}, 873_872, 886_102, 132_581_888),
        ("keras_preact_3_4_6_cifar", {}, 2_151_376, 2_164_950, 264_967_168),
    ],
)
def test_integers(name, changes, trainable, total, macs):
    """Keras' total counts the running means and variances of batch norms too."""
    spec = spec_of(name, **changes)
    cost = measure(spec)
    assert cost.params == trainable
    if total is not None:
        with torch.device("meta"):
            state = build(spec).state_dict()
        values = {k: v.numel() for k, v in state.items() if not k.endswith("batches_tracked")}
        assert sum(values.values()) == total
    if macs is not None:
        assert cost.macs == macs


def test_parameters_by_part():
    params = {}
    for layer in measure(spec_of("keras_preact_9_9_9")).layers:
        part = ".".join(layer.name.split(".")[:3])
        params[part] = params.get(part, 0) + layer.params
    assert params["stem.input_norm"] == 6
    assert (params["stem.conv"], params["stem.norm"]) == (4_800, 128)
    for stage, first, other in ((1, 8_640, 4_544), (2, 23_808, 17_792), (3, 94_720, 70_400)):
        assert params[f"stages.stage{stage}.block1"] == first
        assert all(params[f"stages.stage{stage}.block{i}"] == other for i in range(2, 10))
    assert params["head.features.norm"] == 512
    assert params["head.classifier"] == 2_570


def test_83_layers_with_weights_besides_the_projections():
    layers = [layer for layer in measure(spec_of("keras_preact_9_9_9")).layers if layer.macs]
    assert len(layers) == 86
    assert sum(".shortcut." not in layer.name for layer in layers) == 9 * 9 + 2


def same(x, weight, stride=1):
    """Keras' Conv2D(padding="same"): the smaller half of the padding comes before."""
    pads = []
    for side, kernel in ((x.shape[3], weight.shape[3]), (x.shape[2], weight.shape[2])):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), weight, stride=stride)


def tutorial_graph(x, state, spec, training):
    """The print, line by line, in functions alone; no softmax."""

    def norm_relu(x, at, relu=True):
        mean, var = state[f"{at}.running_mean"].clone(), state[f"{at}.running_var"].clone()
        scale, shift = state[f"{at}.weight"], state[f"{at}.bias"]
        x = F.batch_norm(x, mean, var, scale, shift, training, eps=2e-5)
        return F.relu(x) if relu else x

    def residual_module(data, at, stride, red):
        act1 = norm_relu(data, f"{at}.activation.norm" if red else f"{at}.branch.norm1")
        conv1 = F.conv2d(act1, state[f"{at}.branch.conv1.weight"])
        act2 = norm_relu(conv1, f"{at}.branch.norm2")
        conv2 = same(act2, state[f"{at}.branch.conv2.weight"], stride)
        act3 = norm_relu(conv2, f"{at}.branch.norm3")
        conv3 = F.conv2d(act3, state[f"{at}.branch.conv3.weight"])
        if red:
            data = F.conv2d(act1, state[f"{at}.shortcut.conv.weight"], stride=stride)
        return conv3 + data

    x = same(norm_relu(x, "stem.input_norm", relu=False), state["stem.conv.weight"])
    if spec.stem == "imagenet":
        x = F.max_pool2d(F.pad(norm_relu(x, "stem.norm"), (1, 1, 1, 1)), 3, 2)
    for i, depth in enumerate(spec.stages):
        x = residual_module(x, f"stages.stage{i + 1}.block1", 1 if i == 0 else 2, True)
        for j in range(depth - 1):
            x = residual_module(x, f"stages.stage{i + 1}.block{j + 2}", 1, False)
    x = F.avg_pool2d(norm_relu(x, "head.features.norm"), 8)
    x = x.permute(0, 2, 3, 1).flatten(1)
    return F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("changes", "side"),
    [
        ({}, 64),
        ({}, 61),
        ({"stages": (1, 1), "filters": (8, 16, 8), "img_size": 70, "windows": 2}, 70),
        ({"stem": "small", "img_size": 32}, 32),
        ({"stem": "small", "img_size": 32}, 29),
    ],
)
def test_network_equals_the_tutorials_graph(changes, side, training):
    torch.manual_seed(0)
    spec = networks.replace(TINY, **changes)
    network = build(spec).train(training)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if "norm" in key and value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    x = torch.randn(3, 3, side, side)
    expected = tutorial_graph(x, state, spec, training)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("side", "centres"), [(8, [1, 3, 5, 7]), (7, [0, 2, 4, 6])])
def test_same_padding_centres_the_windows_as_keras_does(side, centres):
    rows = torch.arange(side, dtype=torch.float32)[:, None].expand(side, side)[None, None]
    middle = torch.zeros(1, 1, 3, 3)
    middle[0, 0, 1, 1] = 1
    picked = F.conv2d(SamePadding()(rows), middle, stride=2)
    assert picked[0, 0, :, 0].tolist() == centres


def test_batch_norms_count_as_keras_does():
    network = build(networks.replace(TINY, bn_mom=0.8, bn_eps=1e-3))
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(norm.momentum == pytest.approx(0.2) and norm.eps == 1e-3 for norm in norms)
    first = network.stem.input_norm
    images = torch.full((2, 3, 64, 64), 3.0) + torch.randn(2, 3, 64, 64)
    network(images)
    kept = 0.8 * torch.zeros(3) + 0.2 * images.mean((0, 2, 3))
    torch.testing.assert_close(first.running_mean, kept)


def test_weights_begin_as_glorot_uniform():
    torch.manual_seed(0)
    network = build(spec_of("keras_preact_3_4_6"))
    weight = network.stages.stage3.block2.branch.conv2.weight  # 3x3, 128 to 128
    bound = (6 / (2 * 9 * 128)) ** 0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert not network.get_classifier().bias.any()


def test_the_8x8_pooling_does_not_fit_at_32():
    message = (
        "keras_preact_9_9_9 averages windows of 8x8 positions, and images of 32x32 pixels leave a "
        "map of 4x4; take images of 64x64 pixels, the stem for small images ('small'), or "
        "global_pool"
    )
    with pytest.raises(UsageError) as caught:
        build(spec_of("keras_preact_9_9_9", img_size=32))
    assert str(caught.value) == message
    for remedy in (
        spec_of("keras_preact_9_9_9", img_size=64),
        spec_of("keras_preact_9_9_9", img_size=32).with_stem("small"),
        spec_of("keras_preact_9_9_9", img_size=32, global_pool=True),
    ):
        with torch.device("meta"):
            build(remedy)
    with pytest.raises(UsageError, match="leave a map of 7x7; take images of 32x32 pixels, or"):
        build(spec_of("keras_preact_9_9_9_cifar", img_size=28))


@pytest.mark.parametrize("spec", [TINY, networks.replace(TINY, stem="small", img_size=32)])
def test_the_least_side_is_honest(spec):
    with torch.device("meta"), torch.no_grad():
        network = build(spec).eval()
        side = network.min_size
        for height, width in ((side, side), (side + 3, side), (side, 2 * side + 5)):
            assert network(torch.empty(2, 3, height, width)).shape == (2, 5)
        with pytest.raises(RuntimeError):
            network.head(network.stages(network.stem(torch.empty(2, 3, side - 1, side))))
        with pytest.raises(UsageError, match=f"at least {side}x{side}"):
            network(torch.empty(2, 3, side - 1, side))


def test_global_pooling_is_the_same_on_8x8():
    torch.manual_seed(0)
    printed = build(TINY).eval()
    pooled = build(networks.replace(TINY, global_pool=True)).eval()
    pooled.load_state_dict(printed.state_dict())
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(pooled(x), printed(x))
    assert pooled(torch.randn(2, 3, 17, 40)).shape == (2, 5)


def test_small_form():
    spec = spec_of("keras_preact_9_9_9", img_size=32).with_stem("small")
    assert spec == networks.replace(
        spec_of("keras_preact_9_9_9_cifar"), name="keras_preact_9_9_9", global_pool=True
    )
    with torch.device("meta"):
        network = build(spec)
        maps = FeatureMaps(network)(torch.empty(2, 3, 32, 32))
    assert [m.shape[-1] for m in maps] == [32, 32, 16, 8]
    assert network.feature_info.reduction() == [1, 1, 2, 4]
    assert spec.with_stem("imagenet") == spec_of("keras_preact_9_9_9", img_size=32)


@pytest.mark.parametrize("name", NAMES)
def test_spec_survives_json(name):
    for spec in (spec_of(name), spec_of(name, reg=5e-4, windows=3).with_stem("small")):
        assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": ()}, "one module or more"),
        ({"stages": (3, 0, 3)}, "one module or more"),
        ({"filters": (8, 16)}, r"3 stages need 4 numbers of filters .*received \(8, 16\)"),
        ({"filters": (8, 8, 2, 8)}, "filters must be 4 or more"),
        ({"windows": 0}, "windows must be 1 or more"),
        ({"reg": -1e-4}, "reg must be 0 or more"),
        ({"bn_eps": 0.0}, "bn_eps must be more than 0"),
        ({"bn_mom": 1.0}, r"bn_mom must be in \[0, 1\)"),
        ({"stem": "large"}, "unknown stem"),
    ],
)
def test_wrong_values_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        networks.replace(TINY, **changes)


def test_small_form_learns_digits():
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images[:48], dtype=torch.float32)[:, None] / 8 - 1
    images = F.interpolate(images, size=(16, 16))
    labels = torch.tensor(digits.target[:48])
    spec = networks.replace(TINY, num_classes=10, in_chans=1, img_size=16).with_stem("small")
    network = build(spec)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(20):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
