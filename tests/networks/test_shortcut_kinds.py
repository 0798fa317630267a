"""The units of He et al. 2016, table 1, against functional versions of their equations."""

import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.blocks import Gate
from reslab.networks.cost import measure
from reslab.networks.init import zero_last_scale
from reslab.networks.network import build

KINDS = {
    "scaled": lambda f, x, g: F.relu(0.5 * x + f),
    "halved": lambda f, x, g: F.relu(0.5 * x + 0.5 * f),
    "exclusive_gate": lambda f, x, g: F.relu((1 - g) * x + g * f),
    "shortcut_gate": lambda f, x, g: F.relu((1 - g) * x + f),
    "shortcut_gate_b0": lambda f, x, g: F.relu((1 - g) * x + f),
    "conv_shortcut": lambda f, x, g: F.relu(x + f),
    "dropout_shortcut": lambda f, x, g: F.relu(x + f),
}


def with_depth(spec, blocks):
    """Give each stage that many blocks: 6 n + 2 layers."""
    return networks.replace(
        spec, stages=tuple(dataclasses.replace(s, depth=blocks) for s in spec.stages)
    )


def small(kind, blocks=1, **changes):
    spec = with_depth(networks.entry(f"resnet20_{kind}").spec, blocks)
    return networks.replace(spec, num_classes=5, **changes)


def unlike_at_start(network):
    """Give every value that starts as a constant another one, so that each one matters."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if ".norm" in name and value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
            elif name.endswith("bias"):
                value.copy_(torch.randn_like(value))
    return network.double()


def norm(x, state, name, training):
    moments = state[f"{name}.running_mean"].clone(), state[f"{name}.running_var"].clone()
    return F.batch_norm(x, *moments, state[f"{name}.weight"], state[f"{name}.bias"], training)


def shortcut_of(x, state, at, kind, stride, training):
    if kind == "conv_shortcut":
        x = F.conv2d(x, state[f"{at}.shortcut.conv.weight"], stride=stride)
        return norm(x, state, f"{at}.shortcut.norm", training)
    if stride == 2:
        x = torch.cat([x[:, :, ::2, ::2], torch.zeros_like(x[:, :, ::2, ::2])], dim=1)
    return F.dropout(x, 0.5, training) if kind == "dropout_shortcut" else x


def reference(x, state, kind, training, blocks=1):
    """The network of one kind, of functions alone: gates see the input of their block."""
    x = F.relu(
        norm(F.conv2d(x, state["stem.conv.weight"], None, 1, 1), state, "stem.norm", training)
    )
    for stage in (1, 2, 3):
        for block in range(1, blocks + 1):
            at, stride = f"stages.stage{stage}.block{block}", 2 if stage > block == 1 else 1
            f = F.conv2d(x, state[f"{at}.branch.conv1.weight"], None, stride, 1)
            f = F.relu(norm(f, state, f"{at}.branch.norm1", training))
            f = F.conv2d(f, state[f"{at}.branch.conv2.weight"], None, 1, 1)
            f = norm(f, state, f"{at}.branch.norm2", training)
            g = None
            if f"{at}.gate.conv.weight" in state:
                gate = state[f"{at}.gate.conv.weight"], state[f"{at}.gate.conv.bias"]
                g = torch.sigmoid(F.conv2d(x, *gate, stride))
            x = KINDS[kind](f, shortcut_of(x, state, at, kind, stride, training), g)
    return F.linear(x.mean((2, 3)), state["head.classifier.weight"], state["head.classifier.bias"])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_network_equals_the_functional_version(kind, training):
    torch.manual_seed(0)
    network = unlike_at_start(build(small(kind, blocks=2))).train(training)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(3, 3, 13, 10, dtype=torch.float64)
    torch.manual_seed(1)
    found = network(x)
    torch.manual_seed(1)
    torch.testing.assert_close(found, reference(x, state, kind, training, blocks=2))


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    torch.manual_seed(0)
    network = build(small(kind, blocks=2))
    F.cross_entropy(network(torch.randn(4, 3, 12, 12)), torch.tensor([0, 1, 2, 3])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def block_with(kind, bias):
    torch.manual_seed(0)
    return build(small(kind, blocks=2, gate_bias=bias)).stages.stage2.block2.eval()


@pytest.mark.parametrize(
    ("kind", "bias", "expected"),
    [
        ("exclusive_gate", -20.0, lambda block, x: x),
        ("exclusive_gate", 20.0, lambda block, x: block.branch(x).relu()),
        ("shortcut_gate", -20.0, lambda block, x: (block.branch(x) + x).relu()),
        ("shortcut_gate", 20.0, lambda block, x: block.branch(x).relu()),
    ],
)
def test_gates_that_are_shut_or_open(kind, bias, expected):
    """Shut, the exclusive gate is the identity; the other the residual block. Open: plain."""
    block, x = block_with(kind, bias), torch.rand(2, 32, 6, 6)
    torch.testing.assert_close(block(x), expected(block, x), atol=1e-5, rtol=1e-5)


def test_gates_start_where_the_specification_says():
    torch.manual_seed(0)
    network = build(networks.entry("resnet20_exclusive_gate").spec)
    gates = [module for module in network.modules() if isinstance(module, Gate)]
    assert len(gates) == 9
    assert all((gate.conv.bias == -6).all() for gate in gates)
    spread = torch.cat([gate.conv.weight.flatten() for gate in gates[6:]]).std().item()
    assert spread == pytest.approx((2 / 64) ** 0.5, rel=0.1), "He's start for 1x1 convolutions"
    opened = gates[0](torch.zeros(1, 16, 2, 2))
    torch.testing.assert_close(opened, torch.full_like(opened, 0.0024726), atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("kind", "changes", "twin"),
    [
        ("scaled", {"shortcut_scale": 0.0}, "plain20"),
        ("scaled", {"shortcut_scale": 1.0}, "resnet20"),
        ("dropout_shortcut", {}, "resnet20"),
    ],
)
def test_networks_that_are_others_in_evaluation(kind, changes, twin):
    """Table 1 calls the shortcut scaled by 0 plain."""
    first = small(kind, **changes)
    second = networks.replace(with_depth(networks.entry(twin).spec, 1), num_classes=5)
    one, other = build(first), build(second)
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    one, other = one.double().eval(), other.double().eval()
    torch.testing.assert_close(one(x), other(x))


def test_dropout_drops_half_of_the_shortcut_and_doubles_the_rest():
    torch.manual_seed(0)
    network = build(networks.entry("resnet20_dropout_shortcut").spec)
    zero_last_scale(network)
    x = torch.rand(4, 16, 16, 16) + 1
    ratio = network.stages.stage1.block1(x) / x
    assert set(ratio.round().unique().tolist()) == {0, 2}
    assert ratio.mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_last_scale_only_where_the_shortcut_passes_whole(kind):
    network = build(small(kind))
    zero_last_scale(network)
    zeroed = [name for name, p in network.named_parameters() if "weight" in name and not p.any()]
    # Three blocks, of which two widen the map; only dropout's shortcut does so with zeros.
    assert len(zeroed) == {"conv_shortcut": 3, "dropout_shortcut": 1}.get(kind, 0)


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("resnet110_exclusive_gate", 1_824_186, 266_781_312),
        ("resnet110_shortcut_gate", 1_824_186, 266_781_312),
        ("resnet110_conv_shortcut", 1_826_202, 266_781_312),
    ],
)
def test_costs(name, params, macs):
    cost = measure(networks.entry(name).spec)
    assert (cost.params, cost.macs) == (params, macs)


def test_table_1():
    errors = {
        kind: networks.entry(f"resnet110_{kind}").paper.get("error_pct", "fail") for kind in KINDS
    }
    assert errors == {
        "scaled": "fail",
        "halved": 12.35,
        "exclusive_gate": 8.70,
        "shortcut_gate": 6.91,
        "shortcut_gate_b0": 12.86,
        "conv_shortcut": 12.22,
        "dropout_shortcut": "fail",
    }
    for kind, error in errors.items():
        says_so = any("fails" in line for line in networks.entry(f"resnet110_{kind}").deviations)
        assert says_so == (error == "fail")


@pytest.mark.parametrize("kind", KINDS)
def test_json_round_trip(kind):
    spec = small(kind)
    assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("scaled", {"gate_bias": -6.0}, "unit 'scaled' has no gate_bias, received -6.0"),
        ("exclusive_gate", {"gate_bias": None}, "unit 'exclusive_gate' needs a gate_bias"),
        ("scaled", {"unit": "scald"}, "did you mean 'scaled'"),
        ("scaled", {"shortcut": "none"}, "take a ResNetSpec"),
        ("dropout_shortcut", {"shortcut_dropout": 1.0}, r"in \[0, 1\), received 1.0"),
    ],
)
def test_what_cannot_be_specified(kind, changes, message):
    with pytest.raises(UsageError, match=message):
        small(kind, **changes)
