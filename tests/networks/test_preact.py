"""Pre-activation networks against functional versions written from the released Lua code."""

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


def small(name, blocks, **changes):
    """Give the stages of a network these numbers of blocks."""
    spec = networks.entry(name).spec
    stages = tuple(
        dataclasses.replace(s, depth=d) for s, d in zip(spec.stages, blocks, strict=True)
    )
    return networks.replace(spec, stages=stages, num_classes=5, **changes)


def unlike_at_start(network):
    """Give norms values that differ from their start, so that each one matters."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if ".norm" in name and value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
    return network.double()


class Reference:
    """Units by their type in fb.resnet.torch: "no", "both" or "own" pre-activation."""

    def __init__(self, state, training, strides):
        self.state = state
        self.training = training
        self.strides = strides  # of the convolutions of a unit that subsamples

    def norm_relu(self, x, at):
        moments = self.state[f"{at}.running_mean"].clone(), self.state[f"{at}.running_var"].clone()
        affine = self.state[f"{at}.weight"], self.state[f"{at}.bias"]
        return F.relu(F.batch_norm(x, *moments, *affine, self.training))

    def conv(self, x, at, stride=1):
        weight = self.state[f"{at}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def unit(self, x, at, subsample, preact):
        if preact == "both":
            x = self.norm_relu(x, f"{at}.activation.norm")
        y = self.norm_relu(x, f"{at}.branch.norm1") if preact == "own" else x
        for number, stride in enumerate(self.strides, start=1):
            if number > 1:
                y = self.norm_relu(y, f"{at}.branch.norm{number}")
            y = self.conv(y, f"{at}.branch.conv{number}", stride if subsample else 1)
        if f"{at}.shortcut.conv.weight" in self.state:
            x = self.conv(x, f"{at}.shortcut.conv", 2 if subsample else 1)
        elif subsample:
            half = x[:, :, ::2, ::2]
            x = torch.cat([half, torch.zeros_like(half)], dim=1)
        return x + y

    def network(self, x, blocks, imagenet):
        x = self.conv(x, "stem.conv", 2 if imagenet else 1)
        if imagenet:
            x = F.max_pool2d(self.norm_relu(x, "stem.norm"), 3, stride=2, padding=1)
        for stage, depth in enumerate(blocks, start=1):
            for block in range(1, depth + 1):
                preact = "own" if block > 1 else "no" if imagenet and stage == 1 else "both"
                at = f"stages.stage{stage}.block{block}"
                x = self.unit(x, at, stage > 1 and block == 1, preact)
        x = self.norm_relu(x, "head.features.norm").mean((2, 3))
        head = self.state["head.classifier.weight"], self.state["head.classifier.bias"]
        return F.linear(x, *head)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("name", "blocks", "changes", "strides"),
    [
        ("preact_resnet20", (2, 2, 1), {}, (2, 1)),
        ("preact_resnet164", (2, 1, 2), {}, (2, 1, 1)),
        ("preact_resnet18", (2, 1, 1, 2), {}, (2, 1)),
        ("preact_resnet50", (2, 1, 1, 1), {}, (1, 2, 1)),
        ("preact_resnet50", (1, 1, 2, 1), {"stride_on": "1x1"}, (2, 1, 1)),
    ],
)
def test_network_equals_the_functional_version(name, blocks, changes, strides, training):
    torch.manual_seed(0)
    network = unlike_at_start(build(small(name, blocks, **changes))).train(training)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    imagenet = len(blocks) == 4
    x = torch.randn(3, 3, 45, 38, dtype=torch.float64)
    expected = Reference(state, training, strides).network(x, blocks, imagenet)
    torch.testing.assert_close(network(x), expected)


def test_the_first_convolution_is_alone_and_projections_have_no_norm():
    network = build(small("preact_resnet164", (1, 1, 1)))
    assert [name for name, _ in network.stem.named_parameters()] == ["conv.weight"]
    for stage in network.stages:
        assert [name for name, _ in stage.block1.shortcut.named_parameters()] == ["conv.weight"]


def test_a_stage_adds_residuals_to_its_input():
    """Equation 4: x_L = x_l + the sum of F(x_i), and equation 5 where F = 0: a gradient of 1."""
    torch.manual_seed(0)
    stage = build(small("preact_resnet20", (5, 1, 1))).stages.stage1[1:]
    residuals = []
    for block in stage:
        block.branch.register_forward_hook(lambda _m, _i, y: residuals.append(y))
    x = torch.randn(2, 16, 6, 6, requires_grad=True)
    torch.testing.assert_close(stage(x), x + sum(residuals))
    for block in stage:
        torch.nn.init.zeros_(block.branch.conv2.weight)
    stage(x).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("name", ["preact_resnet20", "preact_resnet164"])
def test_every_parameter_learns_also_after_zero_last_scale(name):
    """A zero scale in front of a ReLU would stop the branch for good; there is none at its end."""
    torch.manual_seed(0)
    network = build(small(name, (2, 2, 2)))
    zero_last_scale(network)
    F.cross_entropy(network(torch.randn(4, 3, 12, 12)), torch.tensor([0, 1, 2, 3])).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


def test_small_stem_of_an_imagenet_network():
    spec = small("preact_resnet18", (1, 1, 1, 1)).with_stem("small")
    network = build(networks.replace(spec, img_size=32)).eval()
    assert network.feature_info.reduction() == [1, 1, 2, 4, 8]
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    assert network.min_size == 8


@pytest.mark.parametrize(
    ("name", "changes", "params", "macs"),
    [
        ("preact_resnet20", {}, 269_722, 40_551_040),
        ("preact_resnet110", {}, 1_727_962, 252_887_680),
        ("preact_resnet164", {}, 1_703_258, 244_500_992),
        ("resnet164", {}, 1_704_154, 244_500_992),
        ("preact_resnet18", {}, 11_687_720, 1_814_073_344),
        ("preact_resnet34", {}, 21_795_880, 3_663_761_408),
        ("preact_resnet50", {}, 25_549_352, 4_089_184_256),
        ("preact_resnet50", {"stride_on": "1x1"}, 25_549_352, 3_857_973_248),
        pytest.param("preact_resnet101", {}, 44_541_480, 7_801_405_440, marks=pytest.mark.slow),
        pytest.param(
            "preact_resnet152",
            {"stride_on": "1x1"},
            60_185_128,
            11_282_415_616,
            marks=pytest.mark.slow,
        ),
        pytest.param("preact_resnet200", {}, 64_666_152, 15_007_481_856, marks=pytest.mark.slow),
        pytest.param("resnet200", {}, 64_673_832, 14_776_270_848, marks=pytest.mark.slow),
        pytest.param(
            "resnet200", {"stride_on": "3x3"}, 64_673_832, 15_007_481_856, marks=pytest.mark.slow
        ),
    ],
)
def test_costs(name, changes, params, macs):
    cost = measure(networks.replace(networks.entry(name).spec, **changes))
    assert (cost.params, cost.macs) == (params, macs)


@pytest.mark.parametrize(
    ("name", "params"), [("preact_resnet164", 1_726_388), ("resnet164", 1_727_284)]
)
def test_a_hundred_classes(name, params):
    with torch.device("meta"):
        network = build(networks.replace(networks.entry(name).spec, num_classes=100))
    assert sum(p.numel() for p in network.parameters()) == params


@pytest.mark.parametrize(
    ("name", "params"),
    [
        pytest.param("resnet1001", 10_351_732, marks=pytest.mark.slow),
        ("preact_resnet1001", 10_350_836),
    ],
)
def test_1001_layers(name, params):
    """The paper's 10.2 M are those of 10 classes without the batch norms."""
    with torch.device("meta"):
        network = build(networks.replace(networks.entry(name).spec, num_classes=100))
    count = sum(p.numel() for p in network.parameters())
    assert count == params
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == 1001 + 3, "three projections besides"
    norms = sum(
        p.numel()
        for m in network.modules()
        if isinstance(m, torch.nn.BatchNorm2d)
        for p in m.parameters()
    )
    assert count - norms - 90 * 257 == 10_178_490


def test_published_errors():
    """Tables 2, 3 and 5."""
    errors = {
        name: networks.entry(name).paper["error_pct"]
        for name in networks.list_models()
        if name.startswith("preact") and "error_pct" in networks.entry(name).paper
    }
    assert errors == {
        "preact_resnet110": 6.37,
        "preact_resnet164": 5.46,
        "preact_resnet1001": 4.92,
        "preact_resnet152": 21.1,
        "preact_resnet200": 20.7,
    }
    for name, error in (("resnet164", 5.93), ("resnet1001", 7.61), ("resnet200", 21.8)):
        assert networks.entry(name).paper["error_pct"] == error


@pytest.mark.parametrize("name", ["preact_resnet164", "preact_resnet50"])
def test_json_round_trip(name):
    spec = networks.entry(name).spec
    assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


def test_there_is_no_plain_preactivation():
    with pytest.raises(UsageError, match="received shortcut 'none'"):
        networks.replace(networks.entry("preact_resnet20").spec, shortcut="none")
