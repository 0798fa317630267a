"""The orders of He et al. 2016, figure 4 (b) to (d), against functional versions of them."""

import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.cost import measure
from reslab.networks.init import zero_last_scale
from reslab.networks.network import build

ORDERS = ("bn_after_add", "relu_before_add", "relu_preact")


def small(name, blocks=1, **changes):
    """Give each stage of a network that many blocks."""
    spec = networks.entry(name).spec
    stages = tuple(dataclasses.replace(s, depth=blocks) for s in spec.stages)
    return networks.replace(spec, stages=stages, num_classes=5, **changes)


def unlike_at_start(network):
    """Give norms values that differ from their start, so that each one matters."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if ".norm" in name and value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
    return network.double()


class Reference:
    """A network of functions alone, which reads its weights by name."""

    def __init__(self, state, training):
        self.state = state
        self.training = training

    def norm(self, x, at):
        moments = self.state[f"{at}.running_mean"].clone(), self.state[f"{at}.running_var"].clone()
        affine = self.state[f"{at}.weight"], self.state[f"{at}.bias"]
        return F.batch_norm(x, *moments, *affine, self.training)

    def conv(self, x, at, stride=1):
        weight = self.state[f"{at}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def branch(self, x, at, stride, count, ends_in_norm):
        """conv BN relu ... conv, and the last BN where it belongs to the branch."""
        for number in range(1, count + 1):
            x = self.conv(x, f"{at}.conv{number}", stride if number == 1 else 1)
            if number < count:
                x = F.relu(self.norm(x, f"{at}.norm{number}"))
        return self.norm(x, f"{at}.norm{count}") if ends_in_norm else x

    def shortcut(self, x, at, stride):
        if f"{at}.shortcut.conv.weight" in self.state:
            return self.norm(self.conv(x, f"{at}.shortcut.conv", stride), f"{at}.shortcut.norm")
        if stride == 2:
            half = x[:, :, ::2, ::2]
            x = torch.cat([half, torch.zeros_like(half)], dim=1)
        return x

    def bn_after_add(self, x, at, stride, count, first):
        f = self.branch(x, f"{at}.branch", stride, count, ends_in_norm=False)
        return F.relu(self.norm(f + self.shortcut(x, at, stride), f"{at}.norm"))

    def relu_before_add(self, x, at, stride, count, first):
        f = self.branch(x, f"{at}.branch", stride, count, ends_in_norm=True)
        return F.relu(f) + self.shortcut(x, at, stride)

    def relu_preact(self, x, at, stride, count, first):
        a = F.relu(x)
        f = self.branch(a, f"{at}.branch", stride, count, ends_in_norm=True)
        return f + self.shortcut(a if first else x, at, stride)

    def network(self, x, order, blocks, count):
        x = F.relu(self.norm(self.conv(x, "stem.conv"), "stem.norm"))
        for stage in (1, 2, 3):
            for block in range(1, blocks + 1):
                at, stride = f"stages.stage{stage}.block{block}", 2 if stage > block == 1 else 1
                x = getattr(self, order)(x, at, stride, count, block == 1)
        x = F.relu(x) if order == "relu_preact" else x
        head = self.state["head.classifier.weight"], self.state["head.classifier.bias"]
        return F.linear(x.mean((2, 3)), *head)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("depth", "count"), [(20, 2), (164, 3)])
@pytest.mark.parametrize("order", ORDERS)
def test_network_equals_the_functional_version(order, depth, count, training):
    torch.manual_seed(0)
    network = build(small(f"resnet{depth}_{order}", blocks=2))
    network = unlike_at_start(network).train(training)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(3, 3, 11, 14, dtype=torch.float64)
    expected = Reference(state, training).network(x, order, 2, count)
    torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("depth", [20, 164])
def test_every_parameter_learns(order, depth):
    torch.manual_seed(0)
    network = build(small(f"resnet{depth}_{order}", blocks=2))
    F.cross_entropy(network(torch.randn(4, 3, 12, 12)), torch.tensor([0, 1, 2, 3])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_relu_before_addition_never_lessens_the_signal():
    """Section 4.1: the branch can only add what is not negative."""
    torch.manual_seed(0)
    block = build(small("resnet20_relu_before_add", blocks=2)).stages.stage2.block2
    x = torch.randn(2, 32, 6, 6)
    assert (block(x) >= x).all()


def test_zero_last_scale_leaves_branches_alone_that_could_not_learn_then():
    zeroed = {}
    for order in ORDERS:
        network = build(small(f"resnet20_{order}", blocks=2))
        zero_last_scale(network)
        zeroed[order] = sum(
            not p.any() for name, p in network.named_parameters() if "weight" in name
        )
    # Six blocks, of which two widen the map with zeros.
    assert zeroed == {"bn_after_add": 0, "relu_before_add": 0, "relu_preact": 4}
    block = network.stages.stage2.block2
    x = torch.randn(2, 32, 6, 6)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.branch.norm2.weight.grad.any(), "the scale itself gets a gradient"


@pytest.mark.parametrize(
    ("depth", "params", "macs"),
    [(20, 269_722, 40_551_040), (110, 1_727_962, 252_887_680), (164, 1_704_154, 244_500_992)],
)
def test_the_order_changes_no_cost(depth, params, macs):
    """The last order stands for the others: the same layers, as `small` shows below."""
    cost = measure(networks.entry(f"resnet{depth}_relu_preact").spec)
    assert (cost.params, cost.macs) == (params, macs)
    counts = set()
    for name in (f"resnet{depth}", *(f"resnet{depth}_{order}" for order in ORDERS)):
        with torch.device("meta"):
            counts.add(sum(p.numel() for p in build(small(name, blocks=2)).parameters()))
    assert len(counts) == 1


def test_table_2():
    errors = {
        depth: [networks.entry(f"resnet{depth}_{order}").paper["error_pct"] for order in ORDERS]
        for depth in (110, 164)
    }
    assert errors == {110: [8.17, 7.84, 6.71], 164: [6.50, 6.14, 5.91]}


@pytest.mark.parametrize("order", ORDERS)
def test_json_round_trip(order):
    spec = small(f"resnet164_{order}")
    assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": "relu_preactivatoin"}, "did you mean 'relu_preactivation'"),
        ({"shortcut": "none"}, "one of residual networks"),
    ],
)
def test_what_cannot_be_specified(changes, message):
    with pytest.raises(UsageError, match=message):
        small("resnet20_relu_preact", **changes)
