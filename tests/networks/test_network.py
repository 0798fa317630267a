import copy

import pytest
import torch

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.network import FeatureMaps, build


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build(networks.entry("resnet20").spec)


def test_forward_is_head_after_features(network):
    network.eval()
    x = torch.randn(2, 3, 32, 32)
    features = network.forward_features(x)
    vector = network.forward_head(features, pre_logits=True)
    assert features.shape == (2, 64, 8, 8)
    assert torch.equal(vector, features.mean((2, 3)))
    assert torch.equal(network.get_classifier()(vector), network(x))


def test_reset_classifier_replaces_only_the_classifier(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.reset_classifier(7)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 7)
    assert network.spec == networks.replace(networks.entry("resnet20").spec, num_classes=7)
    assert network.get_classifier().weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.2)
    for name, value in network.state_dict().items():
        if not name.startswith("head") and "running" not in name and "num_batches" not in name:
            assert torch.equal(before[name], value), name


def test_reset_classifier_to_none(network):
    network.reset_classifier(0)
    assert isinstance(network.get_classifier(), torch.nn.Identity)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, network.num_features)
    assert network.num_classes == 0
    network.reset_classifier(3)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 3)


def test_reset_classifier_stays_where_the_network_is(network):
    network.to(torch.float64).reset_classifier(0)
    network.reset_classifier(5)
    assert network.get_classifier().weight.dtype == torch.float64


def test_dropout_comes_from_the_spec_and_from_reset():
    network = build(networks.replace(networks.entry("resnet20").spec, dropout=0.5))
    features = torch.rand(4, 64, 2, 2) + 1
    dropped = (network.forward_head(features, pre_logits=True) == 0).float().mean().item()
    assert 0.3 < dropped < 0.7
    network.eval()
    assert (network.forward_head(features, pre_logits=True) != 0).all()
    network.train().reset_classifier(10, dropout=0.0)
    assert (network.forward_head(features, pre_logits=True) != 0).all()
    assert network.spec.dropout == 0.0


def test_a_new_dropout_keeps_the_mode():
    network = build(networks.entry("resnet20").spec).eval()
    network.reset_classifier(10, dropout=0.5)
    assert not any(module.training for module in network.modules())
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(network(x), network(x))
    network.train()
    features = torch.rand(4, 64, 2, 2) + 1
    assert (network.forward_head(features, pre_logits=True) == 0).any()


def learning(network):
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_freeze_fixes_leading_parts(network):
    everything = learning(network)
    network.freeze(2)
    assert learning(network) == {
        name for name in everything if not name.startswith(("stem.", "stages.stage1."))
    }
    network.freeze(0)
    assert learning(network) == everything


def test_freeze_all_but_the_classifier(network):
    network.freeze(-1)
    assert learning(network) == {"head.classifier.weight", "head.classifier.bias"}


def test_frozen_norms_keep_their_statistics_in_training(network):
    network.freeze(2)
    before = copy.deepcopy(dict(network.named_buffers()))
    network.eval()
    network.train()
    network(torch.randn(4, 3, 16, 16))
    changed = {
        name
        for name, value in network.named_buffers()
        if name.endswith("running_mean") and not torch.equal(before[name], value)
    }
    assert changed
    assert all(name.startswith(("stages.stage2", "stages.stage3")) for name in changed)
    network.freeze(0)
    assert network.stem.norm.training


@pytest.mark.parametrize("count", [-2, 5])
def test_freeze_names_what_is_allowed(network, count):
    with pytest.raises(UsageError, match=r"-1 to 4 .*stem, stage1, stage2, stage3.*received"):
        network.freeze(count)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 1, 32, 32), r"\(batch, 3, height, width\), received \(2, 1, 32, 32\)"),
        ((3, 32, 32), r"received \(3, 32, 32\)"),
        ((2, 3, 3, 32), "at least 4x4 pixels, received 3x32"),
    ],
)
def test_input_that_cannot_be_computed(network, shape, message):
    with pytest.raises(UsageError, match=message):
        network(torch.randn(shape))
    with pytest.raises(UsageError, match=message):
        FeatureMaps(network)(torch.randn(shape))


def test_build_refuses_too_small_an_image_size():
    spec = networks.replace(networks.entry("resnet50").spec, img_size=28)
    with pytest.raises(UsageError, match="resnet50 needs images of at least 32x32"):
        build(spec)


def test_feature_maps_are_the_networks_own(network):
    network.eval()
    x = torch.randn(1, 3, 32, 32)
    maps = FeatureMaps(network)(x)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 32, 32),
        (16, 32, 32),
        (32, 16, 16),
        (64, 8, 8),
    ]
    assert torch.equal(maps[-1], network.forward_features(x))


def test_feature_maps_by_index(network):
    backbone = FeatureMaps(network, out_indices=(1, -2)).eval()
    maps = backbone(torch.randn(1, 3, 32, 32))
    assert backbone.feature_info.channels() == [m.shape[1] for m in maps] == [16, 32]
    assert backbone.feature_info.reduction() == [1, 2]
    assert backbone.feature_info.module_name() == ["stages.stage1", "stages.stage2"]
    assert not any(name.startswith("parts.stage3") for name, _ in backbone.named_parameters())
    with pytest.raises(UsageError, match=r"out_indices .* -4 to 3, received 4"):
        FeatureMaps(network, out_indices=(4,))
    with pytest.raises(UsageError, match=r"resnet20 must be -4 to 3, received none; leave them"):
        FeatureMaps(network, out_indices=[])


def test_channels_last_goes_through_every_part():
    network = build(networks.entry("resnet20").spec).to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 32, 32).to(memory_format=torch.channels_last)
    for features in FeatureMaps(network)(x):
        assert features.is_contiguous(memory_format=torch.channels_last)
