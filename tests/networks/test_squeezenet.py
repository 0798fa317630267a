"""SqueezeNet: the published integers, the equations, a classifier that is a convolution."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.cost import measure
from reslab.networks.network import FeatureMaps, build
from reslab.networks.squeezenet import FireSpec, SqueezeNetSpec

NAMES = ["squeezenet1_0", "squeezenet1_0_simple", "squeezenet1_0_complex", "squeezenet1_1"]


def spec_of(name, **changes):
    return networks.replace(networks.entry(name).spec, **changes)


def small(name, **changes):
    return networks.replace(
        spec_of(name).with_stem("small"), img_size=32, num_classes=10, **changes
    )


@pytest.mark.parametrize(
    ("name", "img_size", "params", "macs"),
    [
        ("squeezenet1_0", 227, 1_248_424, 832_667_936),
        ("squeezenet1_0", 224, 1_248_424, 818_924_576),
        ("squeezenet1_0_simple", 227, 1_248_424, 832_667_936),
        ("squeezenet1_0_complex", 227, 1_589_672, 1_183_953_184),
        ("squeezenet1_1", 227, 1_235_496, 387_747_520),
        ("squeezenet1_1", 224, 1_235_496, 349_151_936),
    ],
)
def test_integers(name, img_size, params, macs):
    cost = measure(spec_of(name, img_size=img_size))
    assert (cost.params, cost.macs) == (params, macs)


def test_maps_have_the_papers_sizes():
    shapes = {layer.name: layer.output_shape for layer in measure(spec_of("squeezenet1_0")).layers}
    assert shapes["stem.conv"] == (96, 111, 111)
    assert shapes["stages.stage1.pool"] == (96, 55, 55)
    assert shapes["stages.stage2.pool"] == (256, 27, 27)
    assert shapes["stages.stage3.pool"] == (512, 13, 13)
    assert shapes["head.classifier"] == (1000, 13, 13)


def fire(x, state, at):
    s = F.relu(F.conv2d(x, state[f"{at}.squeeze.weight"], state[f"{at}.squeeze.bias"]))
    one = F.conv2d(s, state[f"{at}.expand1x1.weight"], state[f"{at}.expand1x1.bias"])
    three = F.conv2d(s, state[f"{at}.expand3x3.weight"], state[f"{at}.expand3x3.bias"], padding=1)
    return F.relu(torch.cat([one, three], 1))


def reference(x, state, pools, bypass, kernel):
    """SqueezeNet in evaluation, of functions alone; `pools` are the modules after a max pool."""
    x = F.relu(F.conv2d(x, state["stem.conv.weight"], state["stem.conv.bias"], stride=2))
    stage = 0
    for number in range(2, 10):
        if number in pools:
            x, stage = F.max_pool2d(x, 3, 2, ceil_mode=True), stage + 1
        at = f"stages.stage{stage}.fire{number}"
        if bypass == "none" or (bypass == "simple" and number % 2 == 0):
            x = fire(x, state, at)
        elif number % 2:
            x = fire(x, state, f"{at}.branch") + x
        else:
            weight, bias = state[f"{at}.shortcut.weight"], state[f"{at}.shortcut.bias"]
            x = fire(x, state, f"{at}.branch") + F.conv2d(x, weight, bias)
    x = F.relu(F.conv2d(x, state["head.classifier.weight"], state["head.classifier.bias"]))
    return F.adaptive_avg_pool2d(x, 1).flatten(1)


@pytest.mark.parametrize(
    ("name", "pools", "bypass", "kernel"),
    [
        ("squeezenet1_0", (2, 5, 9), "none", 7),
        ("squeezenet1_0_simple", (2, 5, 9), "simple", 7),
        ("squeezenet1_0_complex", (2, 5, 9), "complex", 7),
        ("squeezenet1_1", (2, 4, 6), "none", 3),
    ],
)
def test_network_equals_the_functional_version(name, pools, bypass, kernel):
    torch.manual_seed(0)
    network = build(spec_of(name, num_classes=10)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05 if parameter.ndim == 1 else 0.1)
    state = network.state_dict()
    assert state["stem.conv.weight"].shape[-1] == kernel
    x = torch.randn(2, 3, 67, 75)
    expected = reference(x, state, pools, bypass, kernel)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(network(x), expected)


def test_weights_begin_as_in_the_release():
    torch.manual_seed(0)
    network = build(spec_of("squeezenet1_0"))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            assert not module.bias.any()
    weight = network.stages.stage2.fire8.expand3x3.weight
    bound = (3 / (64 * 9)) ** 0.5
    assert 0.98 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx((1 / (64 * 9)) ** 0.5, rel=0.02)
    assert network.get_classifier().weight.std().item() == pytest.approx(0.01, rel=0.02)


def test_the_small_form_begins_as_he_et_al():
    torch.manual_seed(0)
    network = build(small("squeezenet1_0"))
    weight = network.stages.stage2.fire8.expand3x3.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert network.get_classifier().weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_the_head_is_a_convolution_and_keeps_the_surface():
    torch.manual_seed(0)
    network = build(spec_of("squeezenet1_1", num_classes=10)).eval()
    x = torch.randn(2, 3, 64, 64)
    features = network.forward_features(x)
    assert torch.equal(network.forward_head(features, pre_logits=True), features.mean((2, 3)))
    assert network.num_features == 512
    by_position = F.relu(network.get_classifier()(features))
    torch.testing.assert_close(network(x), by_position.mean((2, 3)))

    network.reset_classifier(0)
    assert torch.equal(network(x), features.mean((2, 3)))
    network.double().reset_classifier(7)
    weight = network.get_classifier().weight
    assert weight.shape == (7, 512, 1, 1)
    assert weight.dtype == torch.float64
    assert weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert network(x.double()).shape == (2, 7)


def test_dropout_stands_before_the_classifier():
    network = build(spec_of("squeezenet1_1", num_classes=10)).train()
    assert network.head.dropout.p == 0.5
    seen = []
    network.get_classifier().register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    network.forward_head(torch.ones(2, 512, 4, 4))
    assert 0.4 < (seen[0] == 0).float().mean() < 0.6
    assert (seen[0][seen[0] != 0] == 2).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_least_side_is_honest(name):
    for spec in (spec_of(name), spec_of(name).with_stem("small")):
        with torch.device("meta"), torch.no_grad():
            network = build(networks.replace(spec, img_size=64)).eval()
            side = network.min_size
            for height, width in ((side, side), (side + 1, side), (side, side + 6)):
                assert network(torch.empty(2, 3, height, width)).shape == (2, 1000)
            with pytest.raises(RuntimeError):
                network.stages(network.stem(torch.empty(2, 3, side - 1, side - 1)))
        with pytest.raises(UsageError, match=f"at least {side}x{side}"):
            build(networks.replace(spec, img_size=side - 1))


def test_small_form_keeps_8x8_of_32():
    spec = small("squeezenet1_0")
    network = build(spec)
    assert [m.shape[-1] for m in FeatureMaps(network)(torch.randn(2, 3, 32, 32))] == [32, 32, 16, 8]
    assert network.feature_info.reduction() == [1, 1, 2, 4]
    assert networks.replace(spec.with_stem("imagenet"), img_size=227, num_classes=1000) == spec_of(
        "squeezenet1_0"
    )


@pytest.mark.parametrize("name", NAMES)
def test_spec_survives_json(name):
    for spec in (spec_of(name), small(name)):
        assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


def test_wrong_values_are_refused():
    with pytest.raises(UsageError, match=r"unknown bypass 'simpel'.*did you mean 'simple'"):
        spec_of("squeezenet1_0", bypass="simpel")
    with pytest.raises(UsageError, match="unknown stem"):
        spec_of("squeezenet1_0").with_stem("large")
    with pytest.raises(UsageError, match="no stages"):
        SqueezeNetSpec(name="x", stem_width=8, stem_kernel=3, stages=())


def test_small_form_learns_digits():
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images[:32], dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(digits.target[:32])
    fires = (FireSpec(squeeze=8, expand=32), FireSpec(squeeze=8, expand=32))
    network = build(small("squeezenet1_1", in_chans=1, dropout=0.0, stages=(fires[:1], fires)))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(50):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
