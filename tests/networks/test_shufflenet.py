"""ShuffleNet: the published integers, the shuffle by hand, units of grouped convolutions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.cost import measure
from reslab.networks.network import FeatureMaps, build
from reslab.networks.shufflenet import ChannelShuffle, ShuffleNetSpec

NAMES = networks.list_models("shufflenet_v1*")
GROUPS = (1, 2, 3, 4, 8)
MULTIPLIERS = (0.25, 0.5, 1.0, 1.5, 2.0)


def spec_of(name, **changes):
    return networks.replace(networks.entry(name).spec, **changes)


def without_classifier(cost):
    (classifier,) = (layer for layer in cost.layers if layer.name == "head.classifier")
    return cost.macs - classifier.macs


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("shufflenet_v1_g1", 1_531_936, 142_502_976),
        ("shufflenet_v1_g2", 1_733_848, 140_036_512),
        ("shufflenet_v1_g3", 1_865_728, 136_500_672),
        ("shufflenet_v1_g4", 1_968_344, 133_251_776),
        ("shufflenet_v1_g8", 2_434_768, 136_829_952),
        ("shufflenet_v1_g3_noshuffle", 1_865_728, 136_500_672),
        ("shufflenet_v1_g8_noshuffle", 2_434_768, 136_829_952),
    ],
)
def test_integers_with_the_papers_macs_of_convolutions_alone(name, params, macs):
    cost = measure(spec_of(name))
    assert (cost.params, without_classifier(cost)) == (params, macs)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("shufflenet_v1_g3_050", 717_324),
        ("shufflenet_v1_g3", 1_864_728),
        ("shufflenet_v1_g3_150", 3_441_168),
        ("shufflenet_v1_g3_200", 5_449_776),
        ("shufflenet_v1_g8_050", 1_010_448),
        ("shufflenet_v1_g8", 2_433_768),
        ("shufflenet_v1_g8_150", 4_268_952),
        ("shufflenet_v1_g8_200", 6_521_232),
    ],
)
def test_parameters_of_the_authors_release_but_for_the_classifiers_bias(name, params):
    assert measure(spec_of(name)).params - 1000 == params


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize(("multiplier", "published"), [(0.25, 13), (0.5, 38)])
def test_narrow_networks_cost_about_what_the_paper_says(groups, multiplier, published):
    cost = measure(spec_of("shufflenet_v1_g3", groups=groups, width_multiplier=multiplier))
    assert without_classifier(cost) / 1e6 == pytest.approx(published, rel=0.2)


@pytest.mark.parametrize(("multiplier", "published"), [(1.5, 292), (2.0, 524)])
def test_wide_networks_cost_what_the_paper_says(multiplier, published):
    cost = measure(spec_of("shufflenet_v1_g3", width_multiplier=multiplier))
    assert round(cost.macs / 1e6) == published  # here the paper's figure includes the classifier


def test_maps_have_the_papers_sizes():
    layers = {
        layer.name: layer.output_shape for layer in measure(spec_of("shufflenet_v1_g3")).layers
    }
    assert layers["stem.conv"] == (24, 112, 112)
    assert layers["stages.stage1.pool"] == (24, 56, 56)
    with torch.device("meta"):
        maps = FeatureMaps(build(spec_of("shufflenet_v1_g3")))(torch.empty(1, 3, 224, 224))
    assert [tuple(m.shape[1:]) for m in maps[1:]] == [(240, 28, 28), (480, 14, 14), (960, 7, 7)]


@pytest.mark.parametrize("groups", GROUPS)
def test_shuffle_is_reshape_transpose_flatten(groups):
    channels = 3 * groups
    x = np.arange(channels * 4).reshape(channels, 2, 2)
    by_hand = np.empty_like(x)
    for group in range(groups):
        for member in range(3):
            by_hand[member * groups + group] = x[group * 3 + member]
    assert (x.reshape(groups, 3, 2, 2).transpose(1, 0, 2, 3).reshape(x.shape) == by_hand).all()
    shuffled = ChannelShuffle(groups)(torch.tensor(x)[None])
    assert (shuffled[0].numpy() == by_hand).all()


def test_shuffle_mixes_the_groups():
    """Each group of the next convolution then sees every group of the one before."""
    group_of = torch.arange(3).repeat_interleave(6)[None, :, None, None]
    mixed = ChannelShuffle(3)(group_of)[0, :, 0, 0].reshape(3, 6)
    assert all(set(row.tolist()) == {0, 1, 2} for row in mixed)


def norm(x, state, at, training):
    mean, var = state[f"{at}.running_mean"].clone(), state[f"{at}.running_var"].clone()
    return F.batch_norm(x, mean, var, state[f"{at}.weight"], state[f"{at}.bias"], training)


def reference(x, state, groups, shuffle, training):
    """ShuffleNet of functions alone: Zhang et al. 2017, table 1 and figure 2."""
    x = F.conv2d(x, state["stem.conv.weight"], stride=2, padding=1)
    x = F.relu(norm(x, state, "stem.norm", training))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, depth in enumerate((4, 8, 4), start=1):
        for unit in range(1, depth + 1):
            at = f"stages.stage{stage}.unit{unit}.branch"
            first, stride = stage == unit == 1, 2 if unit == 1 else 1
            y = F.conv2d(x, state[f"{at}.conv1.weight"], groups=1 if first else groups)
            y = F.relu(norm(y, state, f"{at}.norm1", training))
            if shuffle:
                b, c, h, w = y.shape
                y = y.reshape(b, groups, c // groups, h, w).transpose(1, 2).reshape(b, c, h, w)
            y = F.conv2d(y, state[f"{at}.conv2.weight"], None, stride, 1, groups=y.shape[1])
            y = norm(y, state, f"{at}.norm2", training)
            y = F.conv2d(y, state[f"{at}.conv3.weight"], groups=groups)
            y = norm(y, state, f"{at}.norm3", training)
            x = torch.cat([F.avg_pool2d(x, 3, 2, 1), y], 1) if unit == 1 else x + y
            x = F.relu(x)
    x = x.mean((2, 3))
    return F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("name", "groups", "shuffle"),
    [
        ("shufflenet_v1_g1", 1, True),
        ("shufflenet_v1_g3", 3, True),
        ("shufflenet_v1_g8_noshuffle", 8, False),
    ],
)
def test_network_equals_the_functional_version(name, groups, shuffle, training):
    torch.manual_seed(0)
    network = build(spec_of(name, width_multiplier=0.25, num_classes=10)).train(training)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if ".norm" in key and value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    x = torch.randn(3, 3, 75, 64)
    expected = reference(x, state, groups, shuffle, training)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)


def test_shuffle_changes_the_function_and_not_the_weights():
    torch.manual_seed(0)
    spec = spec_of("shufflenet_v1_g3", width_multiplier=0.25, num_classes=10)
    with_it, without = build(spec), build(networks.replace(spec, shuffle=False))
    without.load_state_dict(with_it.state_dict())
    x = torch.randn(2, 3, 64, 64)
    assert not torch.allclose(with_it.eval()(x), without.eval()(x))


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("multiplier", MULTIPLIERS)
def test_every_width_divides_into_groups(groups, multiplier):
    spec = spec_of("shufflenet_v1_g3", groups=groups, width_multiplier=multiplier)
    with torch.device("meta"):
        network = build(spec)
    grouped = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert [m.groups for m in grouped] == [1] + [groups] * 31
    assert network.num_features == 4 * spec.stage_width
    assert abs(spec.stage_width - multiplier * spec_at_full_width(groups)) <= 2 * groups


def spec_at_full_width(groups):
    return {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}[groups]


def test_small_form_keeps_4x4_of_32():
    spec = spec_of("shufflenet_v1_g3_050", img_size=32).with_stem("small")
    with torch.device("meta"):
        network = build(spec)
        maps = FeatureMaps(network)(torch.empty(2, 3, 32, 32))
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 4]
    assert network.feature_info.reduction() == [1, 2, 4, 8]
    assert spec.with_stem("imagenet") == spec_of("shufflenet_v1_g3_050", img_size=32)


@pytest.mark.parametrize("name", NAMES)
def test_spec_survives_json(name):
    for spec in (spec_of(name), spec_of(name, num_classes=5, img_size=32).with_stem("small")):
        assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


def test_wrong_values_are_refused():
    with pytest.raises(UsageError, match="groups must be one of 1, 2, 3, 4, 8, received 5"):
        spec_of("shufflenet_v1_g3", groups=5)
    with pytest.raises(UsageError, match=r"one of 0\.25, 0\.5, 1, 1\.5, 2, received 0\.7"):
        spec_of("shufflenet_v1_g3", width_multiplier=0.7)
    with pytest.raises(UsageError, match="one unit or more"):
        spec_of("shufflenet_v1_g3", depths=(4, 0, 4))
    with pytest.raises(UsageError, match="unknown stem"):
        spec_of("shufflenet_v1_g3").with_stem("large")


def test_small_form_learns_digits():
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images[:48], dtype=torch.float32)[:, None] / 8 - 1
    images = F.interpolate(images, size=(16, 16))
    labels = torch.tensor(digits.target[:48])
    spec = ShuffleNetSpec(
        name="x",
        num_classes=10,
        in_chans=1,
        img_size=16,
        groups=3,
        width_multiplier=0.25,
        depths=(2, 2),
        stem="small",
    )
    network = build(spec)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
