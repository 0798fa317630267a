"""MobileNet: the published integers, the separable convolution, width and resolution."""

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
from reslab.networks.mobilenet import MobileNetSpec, SeparableConvolution
from reslab.networks.network import FeatureMaps, build
from reslab.networks.resnet import StageSpec

NAMES = networks.list_models("mobilenet_v1*")


def spec_of(name, **changes):
    return networks.replace(networks.entry(name).spec, **changes)


@pytest.mark.parametrize(
    ("name", "img_size", "params", "macs"),
    [
        ("mobilenet_v1", 224, 4_231_976, 568_740_352),
        ("mobilenet_v1_075", 224, 2_585_560, 325_400_448),
        ("mobilenet_v1_050", 224, 1_331_592, 149_497_088),
        ("mobilenet_v1_025", 224, 470_072, 41_030_272),
        ("mobilenet_v1", 192, 4_231_976, 418_121_728),
        ("mobilenet_v1", 160, 4_231_976, 290_675_200),
        ("mobilenet_v1", 128, 4_231_976, 186_400_768),
        ("mobilenet_v1_050", 160, 1_331_592, 76_524_800),
        ("mobilenet_v1_shallow", 224, 2_887_976, 307_323_392),
        ("mobilenet_v1_conv", 224, 29_294_088, 4_867_293_184),
    ],
)
def test_integers(name, img_size, params, macs):
    cost = measure(spec_of(name, img_size=img_size))
    assert (cost.params, cost.macs) == (params, macs)


def test_the_papers_28_layers():
    layers = [layer for layer in measure(spec_of("mobilenet_v1")).layers if layer.macs]
    assert len(layers) == 28
    assert layers[-2].output_shape == (1024, 7, 7)


def norm(x, state, at, training):
    mean, var = state[f"{at}.running_mean"].clone(), state[f"{at}.running_var"].clone()
    return F.batch_norm(x, mean, var, state[f"{at}.weight"], state[f"{at}.bias"], training)


def reference(x, state, depths, training):
    """MobileNet of functions alone, its widths read off the weights."""
    x = F.conv2d(x, state["stem.conv.weight"], stride=2, padding=1)
    x = F.relu(norm(x, state, "stem.norm", training))
    for stage, depth in enumerate(depths, start=1):
        for block in range(1, depth + 1):
            at = f"stages.stage{stage}.block{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            if f"{at}.conv.weight" in state:
                x = F.conv2d(x, state[f"{at}.conv.weight"], stride=stride, padding=1)
                x = F.relu(norm(x, state, f"{at}.norm", training))
                continue
            filters = state[f"{at}.depthwise.weight"]
            x = F.conv2d(x, filters, stride=stride, padding=1, groups=len(filters))
            x = F.relu(norm(x, state, f"{at}.norm1", training))
            x = F.conv2d(x, state[f"{at}.pointwise.weight"])
            x = F.relu(norm(x, state, f"{at}.norm2", training))
    x = x.mean((2, 3))
    return F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("name", "depths"),
    [
        ("mobilenet_v1_025", (1, 2, 2, 6, 2)),
        ("mobilenet_v1_shallow", (1, 2, 2, 1, 2)),
        ("mobilenet_v1_conv", (1, 2, 2, 6, 2)),
    ],
)
def test_network_equals_the_functional_version(name, depths, training):
    torch.manual_seed(0)
    changes = {"width_multiplier": 0.25, "num_classes": 10}
    network = build(spec_of(name, **changes)).train(training)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if ".norm" in key and value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    x = torch.randn(3, 3, 75, 64)
    expected = reference(x, state, depths, training)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)


def test_a_depthwise_filter_sees_its_own_channel():
    torch.manual_seed(0)
    layer = SeparableConvolution(3, 5, 2).depthwise
    x = torch.randn(1, 3, 8, 8)
    by_channel = [F.conv2d(x[:, c : c + 1], layer.weight[c : c + 1], None, 2, 1) for c in range(3)]
    torch.testing.assert_close(layer(x), torch.cat(by_channel, 1))


def test_weights_begin_with_the_depthwise_fan():
    torch.manual_seed(0)
    network = build(spec_of("mobilenet_v1"))
    weight = network.stages.stage5.block2.depthwise.weight
    assert weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.03)


@pytest.mark.parametrize("multiplier", [0.25, 0.33, 0.5, 1.4])
def test_every_width_is_multiplied(multiplier):
    with torch.device("meta"):
        network = build(spec_of("mobilenet_v1", width_multiplier=multiplier))
    widths = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert widths[0] == round(32 * multiplier)
    assert widths[-1] == network.num_features == round(1024 * multiplier)


def test_small_form_keeps_4x4_of_32():
    spec = spec_of("mobilenet_v1_025", img_size=32).with_stem("small")
    with torch.device("meta"):
        maps = FeatureMaps(build(spec))(torch.empty(2, 3, 32, 32))
    assert [m.shape[-1] for m in maps] == [32, 32, 32, 16, 8, 4]
    assert spec.with_stem("imagenet") == spec_of("mobilenet_v1_025", img_size=32)


@pytest.mark.parametrize("name", NAMES)
def test_spec_survives_json(name):
    for spec in (spec_of(name), spec_of(name, num_classes=5, img_size=32).with_stem("small")):
        assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


def test_wrong_values_are_refused():
    for multiplier in (0.0, -1.0, 2.5, float("nan")):
        with pytest.raises(UsageError, match=r"width_multiplier must be in \(0, 2\]"):
            spec_of("mobilenet_v1", width_multiplier=multiplier)
    with pytest.raises(UsageError, match=r"unknown layer 'seperable'.*did you mean 'separable'"):
        spec_of("mobilenet_v1", layer="seperable")
    with pytest.raises(UsageError, match="unknown stem"):
        spec_of("mobilenet_v1").with_stem("large")
    with pytest.raises(UsageError, match="no stages"):
        MobileNetSpec(name="x", stages=())


@pytest.mark.parametrize("layer", ["separable", "full"])
def test_small_form_learns_digits(layer):
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images[:48], dtype=torch.float32)[:, None] / 8 - 1
    images = F.interpolate(images, size=(16, 16))
    labels = torch.tensor(digits.target[:48])
    stages = tuple(StageSpec(width=w, depth=1, stride=s) for w, s in ((16, 1), (32, 2), (32, 2)))
    spec = MobileNetSpec(
        name="x", num_classes=10, in_chans=1, img_size=16, stages=stages, stem_width=8, layer=layer
    )
    network = build(spec.with_stem("small"))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
