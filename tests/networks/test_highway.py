"""Highway networks against functional versions of the authors' Caffe specifications."""

import dataclasses
import json
import math

import pytest
import torch
import torch.nn.functional as F

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.blocks import Gate, set_gate_bias
from reslab.networks.cost import measure
from reslab.networks.highway import HighwayLayer
from reslab.networks.network import build


def conv_relu(x, state, at, padding=1):
    return F.relu(F.conv2d(x, state[f"{at}.conv.weight"], state[f"{at}.conv.bias"], 1, padding))


def highway(x, state, at):
    """T is multiplied with H, 1 - T with the input."""
    gate = state[f"{at}.gate.conv.weight"], state[f"{at}.gate.conv.bias"]
    t = torch.sigmoid(F.conv2d(x, *gate, padding=1))
    return conv_relu(x, state, f"{at}.transform") * t + x * (1 - t)


def classify(x, state):
    return F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"])


def reference_cifar(x, state, training):
    """conv1, 4 highway layers, pool, conv6, 5, pool, conv12, 5, conv18, average, fc."""
    x = conv_relu(F.dropout(x, 0.2, training), state, "stem.layer")
    for stage, depth in ((1, 4), (2, 5), (3, 5)):
        at = f"stages.stage{stage}"
        if stage > 1:
            x = F.dropout(F.max_pool2d(x, 2, 2), 0.2, training)
            x = conv_relu(x, state, f"{at}.plain")
        for number in range(1, depth + 1):
            x = highway(x, state, f"{at}.highway{number}")
    x = conv_relu(x, state, "stages.stage3.last", padding=0)
    return classify(F.dropout(F.avg_pool2d(x, 8).flatten(1), 0.2, training), state)


def reference_mnist(x, state, training):
    """conv 5x5, 2 highway layers, pool, 3, pool, 3, pool, fc; maps of 24, 12, 6 and 3."""
    x = conv_relu(F.dropout(x, 0.2, training), state, "stem.layer", padding=0)
    for stage, depth in ((1, 2), (2, 3), (3, 3)):
        if stage > 1:
            x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2)
            x = F.dropout(x, {2: 0.3, 3: 0.4}[stage], training)
        for number in range(1, depth + 1):
            x = highway(x, state, f"stages.stage{stage}.highway{number}")
    x = F.max_pool2d(x, 2, 2).flatten(1)
    assert x.shape[1] == 9 * 16
    return classify(F.dropout(x, 0.5, training), state)


def unlike_at_start(network):
    """Give biases values that differ from their start, so that each one matters."""
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("bias"):
                value.copy_(torch.randn_like(value))
    return network.double()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("name", "reference"), [("highway19", reference_cifar), ("highway10", reference_mnist)]
)
def test_network_equals_the_functional_version(name, reference, training):
    torch.manual_seed(0)
    network = unlike_at_start(build(networks.entry(name).spec)).train(training)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    spec = network.spec
    x = torch.randn(2, spec.in_chans, spec.img_size, spec.img_size, dtype=torch.float64)
    torch.manual_seed(1)
    found = network(x)
    torch.manual_seed(1)
    torch.testing.assert_close(found, reference(x, state, training))


@pytest.mark.parametrize(
    ("bias", "expected"),
    [(-30.0, lambda layer, x: x), (30.0, lambda layer, x: layer.transform(x))],
)
def test_a_layer_carries_or_transforms(bias, expected):
    torch.manual_seed(0)
    layer = HighwayLayer(8)
    set_gate_bias(layer, bias)
    x = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(layer(x), expected(layer, x), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("name", "bias"), [("highway19", -2.0), ("highway10", -1.0)])
def test_weights_start_as_the_authors(name, bias):
    """Caffe's "xavier" counts inputs: uniform within sqrt(3 / fan_in), gates too."""
    torch.manual_seed(0)
    network = build(networks.entry(name).spec)
    for module_name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            bound = math.sqrt(3 / module.weight[0].numel())
            assert 0.9 * bound < module.weight.abs().max() <= bound, module_name
            assert module.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.15)
            assert (module.bias == (bias if "gate" in module_name else 0)).all(), module_name
    assert sum(isinstance(module, Gate) for module in network.modules()) == int(name[7:]) - (
        5 if name == "highway19" else 2
    )


def test_every_parameter_learns():
    torch.manual_seed(0)
    network = build(networks.entry("highway10").spec)
    F.cross_entropy(network(torch.randn(8, 1, 28, 28)), torch.arange(8)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("name", ["highway10", "highway19"])
def test_the_least_size_is_the_least(name):
    network = build(networks.entry(name).spec).eval()
    least, channels = network.min_size, network.spec.in_chans
    for height, width in ((least, least), (least, least + 6), (least + 1, least + 3)):
        assert network(torch.randn(1, channels, height, width)).shape == (1, 10)
    if least > 1:
        with pytest.raises(RuntimeError):
            network.stages(network.stem(torch.randn(1, channels, least - 1, least)))


@pytest.mark.parametrize(
    ("name", "classes", "params", "macs"),
    [
        ("highway19", 10, 2_256_838, 330_826_728),
        ("highway19", 100, 2_265_928, 330_835_728),
        ("highway10", 10, 38_986, 8_028_576),
        ("highway10_w32", 10, 151_690, 31_650_624),
    ],
)
def test_costs(name, classes, params, macs):
    cost = measure(networks.replace(networks.entry(name).spec, num_classes=classes))
    assert (cost.params, cost.macs) == (params, macs)


def test_published_errors():
    """Tables 1 and 2 of the paper give accuracies: 99.43, 99.55 and 92.46 at best."""
    errors = {
        name: (entry["error_pct"], entry["error_mean_pct"], entry["error_std_pct"])
        for name in ("highway10", "highway10_w32", "highway19")
        for entry in [networks.entry(name).paper]
    }
    assert errors == {
        "highway10": (0.57, 0.60, 0.03),
        "highway10_w32": (0.45, 0.46, 0.02),
        "highway19": (7.54, 7.72, 0.16),
    }


@pytest.mark.parametrize("name", ["highway10", "highway19"])
def test_json_round_trip(name):
    spec = networks.entry(name).spec
    assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": ()}, "has no stages"),
        ({"input_dropout": 1.0}, "input_dropout must be in"),
        ({"depth": 0}, "a highway layer or more, received 0"),
        ({"dropout": -0.1}, "dropout of a stage must be in"),
    ],
)
def test_what_cannot_be_specified(changes, message):
    spec = networks.entry("highway19").spec
    if changes.keys() <= {"depth", "dropout"}:
        changes = {"stages": (dataclasses.replace(spec.stages[0], **changes),)}
    with pytest.raises(UsageError, match=message):
        networks.replace(spec, **changes)
