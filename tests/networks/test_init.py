import math

import pytest
import torch

from reslab import networks
from reslab.networks.init import redraw, zero_last_scale
from reslab.networks.network import build


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(networks.entry("resnet56").spec)


def test_convolutions_have_the_papers_spread(network):
    """3x3x16 inputs: sqrt(2 / 144) = 0.1179, where torch's own start would give 0.0481."""
    weights = [
        module.weight.flatten()
        for module in network.stages.stage1.modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    spread = torch.cat(weights).std().item()
    assert spread == pytest.approx(0.1179, abs=0.0015)


@pytest.mark.parametrize("stage", ["stage1", "stage2", "stage3"])
def test_fan_in_counts_not_fan_out(network, stage):
    """The first convolution of stages 2 and 3 has twice as many outputs as inputs."""
    weight = network.stages.get_submodule(stage).block1.branch.conv1.weight
    expected = math.sqrt(2 / (9 * weight.shape[1]))
    assert weight.std().item() == pytest.approx(expected, rel=0.05)
    assert weight.mean().item() == pytest.approx(0, abs=4 * expected / math.sqrt(weight.numel()))


def test_norms_are_the_identity_and_biases_zero(network):
    for name, value in network.named_parameters():
        if name.endswith("bias"):
            assert not value.any(), name
        elif ".norm" in name:
            assert (value == 1).all(), name


def test_zero_last_scale_makes_every_block_its_shortcut():
    network = build(networks.entry("resnet20").spec)
    zero_last_scale(network)
    block = network.stages.stage2.block2
    x = torch.rand(2, 32, 8, 8)
    assert torch.equal(block(x), torch.relu(block.shortcut(x)))
    zeroed = [
        name for name, value in network.named_parameters() if "weight" in name and not value.any()
    ]
    assert len(zeroed) == 7
    assert all(name.endswith("branch.norm2.weight") for name in zeroed)


@pytest.mark.parametrize("name", ["resnet20", "resnet20_b", "preact_resnet20", "resnet18"])
def test_every_channel_learns_after_zero_last_scale(name):
    """No channel may start where a ReLU hands no gradient on: it would stay there for good."""
    torch.manual_seed(0)
    network = build(networks.entry(name).spec)
    zero_last_scale(network)
    with torch.no_grad():
        maps = network.forward_features(torch.randn(8, 3, 64, 64))
    assert maps.amax(dim=(0, 2, 3)).gt(0).all()


def test_zero_last_scale_leaves_plain_networks_alone():
    network = build(networks.entry("plain20").spec)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    zero_last_scale(network)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("law", "conv", "linear"),
    [
        ("he", math.sqrt(2 / (9 * 32)), math.sqrt(2 / 64)),
        ("glorot", math.sqrt(2 / (9 * (32 + 64))), math.sqrt(2 / (64 + 10))),
        ("gaussian", 0.01, 0.01),
    ],
)
def test_a_law_spreads_the_weights_as_it_says(law, conv, linear):
    torch.manual_seed(0)
    network = build(networks.entry("resnet20").spec)
    redraw(network, law)
    weight = network.stages.stage3.block1.branch.conv1.weight  # 3x3, 32 to 64 channels
    assert weight.std().item() == pytest.approx(conv, rel=0.03)
    assert network.get_classifier().weight.std().item() == pytest.approx(linear, rel=0.1)


def test_redrawing_leaves_biases_and_norms_and_what_does_not_learn():
    network = build(networks.entry("highway10").spec)
    fixed = network.get_classifier().weight.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    redraw(network, "gaussian")
    after = network.state_dict()
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == {n for n in before if "bias" in n} | {
        name for name, value in network.named_parameters() if value is fixed
    }


def test_the_seed_decides_the_weights():
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(build(networks.entry("resnet20").spec).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
