"""A highway layer behind each convolution; five two-layer blocks without batch norm."""

import json

import pytest
import torch
import torch.nn.functional as F

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.blocks import set_gate_bias
from reslab.networks.cost import measure
from reslab.networks.init import zero_last_scale
from reslab.networks.network import build

NAMES = ("plain_cnn10", "highway_cnn", "five_block_plain", "five_block_residual")


def conv(x, state, at):
    return F.conv2d(x, state[f"{at}.weight"], state[f"{at}.bias"], padding=1)


def classify(x, state):
    x = x.mean((2, 3))
    return F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"])


def reference_cnn(x, state, with_highway):
    """Ten convolutions with ReLU; pools in front of the fourth and the seventh."""
    stages = [1] * 3 + [2] * 3 + [3] * 4
    for number, stage in enumerate(stages, start=1):
        at = f"stages.stage{stage}"
        x = F.max_pool2d(x, 2) if number in (4, 7) else x
        x = F.relu(conv(x, state, "stem.conv" if number == 1 else f"{at}.conv{number}.conv"))
        if with_highway:
            t = torch.sigmoid(conv(x, state, f"{at}.highway{number}.gate.conv"))
            h = F.relu(conv(x, state, f"{at}.highway{number}.transform.conv"))
            x = h * t + x * (1 - t)
    return classify(x, state)


def reference_blocks(a, state, with_shortcut):
    """a[l+2] = g(z[l+2] + a[l]), five times; pools in front of the third and the fifth."""
    a = F.relu(conv(a, state, "stem.conv"))
    for stage, blocks in ((1, 2), (2, 2), (3, 1)):
        a = F.max_pool2d(a, 2) if stage > 1 else a
        for block in range(1, blocks + 1):
            at = f"stages.stage{stage}.block{block}.branch"
            z = conv(F.relu(conv(a, state, f"{at}.conv1")), state, f"{at}.conv2")
            a = F.relu(z + a) if with_shortcut else F.relu(z)
    return classify(a, state)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_network_equals_the_functional_version(name, training):
    torch.manual_seed(0)
    network = build(networks.entry(name).spec).double().train(training)
    with torch.no_grad():
        for key, value in network.named_parameters():
            if key.endswith("bias"):
                value.copy_(torch.randn_like(value))
    state = {key: value.clone() for key, value in network.state_dict().items()}
    x = torch.randn(2, 3, 16, 12, dtype=torch.float64)
    reference = reference_cnn if "cnn" in name else reference_blocks
    expected = reference(x, state, name in ("highway_cnn", "five_block_residual"))
    torch.testing.assert_close(network(x), expected)


def test_with_shut_gates_the_highway_network_is_the_plain_one():
    torch.manual_seed(0)
    highway = build(networks.entry("highway_cnn").spec)
    set_gate_bias(highway, -30.0)
    plain = build(networks.entry("plain_cnn10").spec)
    plain.load_state_dict({k: v for k, v in highway.state_dict().items() if "highway" not in k})
    x = torch.randn(2, 3, 9, 11)
    torch.testing.assert_close(highway(x), plain(x))


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns_also_after_zero_last_scale(name):
    """There is no batch norm at the end of a branch, so nothing is set to zero."""
    torch.manual_seed(0)
    network = build(networks.entry(name).spec)
    zero_last_scale(network)
    F.cross_entropy(network(torch.randn(4, 3, 13, 13)), torch.tensor([0, 1, 2, 3])).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("plain_cnn10", 334_794, 115_016_320),
        ("highway_cnn", 1_073_354, 417_006_208),
        ("five_block_plain", 93_706, 49_250_624),
        ("five_block_residual", 93_706, 49_250_624),
    ],
)
def test_costs(name, params, macs):
    """A highway layer doubles and gates: twice its convolution's 36,928 values."""
    cost = measure(networks.entry(name).spec)
    assert (cost.params, cost.macs) == (params, macs)


@pytest.mark.parametrize("name", NAMES)
def test_maps_and_json(name):
    spec = networks.entry(name).spec
    assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec
    grey = build(networks.replace(spec, in_chans=1, img_size=28)).eval()
    assert grey.feature_info.reduction() == [1, 1, 2, 4]
    assert grey.forward_features(torch.randn(2, 1, 28, 28)).shape == (2, spec.width, 7, 7)


@pytest.mark.parametrize(
    ("name", "depths"), [("highway_cnn", (1, 3)), ("highway_cnn", ()), ("five_block_plain", (2, 0))]
)
def test_what_cannot_be_specified(name, depths):
    with pytest.raises(UsageError, match="received"):
        networks.replace(networks.entry(name).spec, depths=depths)
