"""GoogLeNet against table 1 of its paper and against a version of functions alone."""

import json

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.cost import measure
from reslab.networks.network import build
from reslab.networks.trace import Field, Trace

FORMS = ("googlenet", "googlenet_bn", "googlenet_naive")


def spec_of(name, **changes):
    return networks.replace(networks.entry(name).spec, **changes)


def small(name, **changes):
    return networks.replace(networks.entry(name).spec.with_stem("small"), img_size=32, **changes)


@pytest.mark.parametrize(
    ("name", "auxiliary", "params", "macs"),
    [
        ("googlenet", False, 6_998_552, 1_582_671_872),
        ("googlenet", True, 13_378_280, 1_582_671_872),
        ("googlenet_bn", False, 6_624_904, 1_498_376_192),
        ("googlenet_bn", True, 13_004_888, 1_498_376_192),
    ],
)
def test_parameters_and_multiply_adds(name, auxiliary, params, macs):
    cost = measure(spec_of(name, auxiliary=auxiliary))
    assert (cost.params, cost.macs) == (params, macs)


def test_the_auxiliary_heads_parameters_and_multiply_adds():
    with torch.device("meta"), torch.no_grad(), Trace() as trace:
        network = build(spec_of("googlenet"))
        image = torch.empty(1, 3, 224, 224)
        trace.mark(image, Field(size=1, stride=1))
        network.training_logits(image)
    assert trace.macs == 1_591_044_096
    params = [sum(p.numel() for p in head.parameters()) for head in network.auxiliary_heads()]
    assert params == [3_188_840, 3_190_888]
    assert network.loss_weights() == [1.0, 0.3, 0.3]


def test_parameters_of_each_module():
    with torch.device("meta"):
        network = build(spec_of("googlenet"))
    params = {
        name.removeprefix("inception"): sum(p.numel() for p in module.parameters())
        for stage in network.stages
        for name, module in stage.named_children()
        if name.startswith("inception")
    }
    assert params == {
        "3a": 163_696,
        "3b": 388_736,
        "4a": 376_176,
        "4b": 449_160,
        "4c": 510_104,
        "4d": 605_376,
        "4e": 868_352,
        "5a": 1_043_456,
        "5b": 1_444_080,
    }
    assert sum(p.numel() for p in network.get_classifier().parameters()) == 1_025_000


def sides(network, size, in_chans=3):
    """Return the sides of the maps of stem and stages for a square image."""
    with torch.device("meta"), torch.no_grad():
        x, found = torch.empty(1, in_chans, size, size), []
        for part in network.parts().values():
            x = part(x)
            found.append(x.shape[-1])
    return found


@pytest.mark.parametrize("name", FORMS)
def test_map_sizes(name):
    """Pools round up: 112, 56, 28, 14, 7 at 224 pixels, where rounding down gives 13 and 6."""
    with torch.device("meta"):
        assert sides(build(spec_of(name)), 224) == [112, 56, 28, 14, 7]
        assert sides(build(small(name)), 32) == [32, 32, 16, 8, 4]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("form", ["imagenet", "small"])
def test_min_size_is_the_least_that_works(name, form):
    with torch.device("meta"), torch.no_grad():
        network = build(networks.entry(name).spec.with_stem(form)).eval()
        least = network.min_size
        assert network(torch.empty(1, 3, least, least + 6)).shape == (1, 1000)
        with pytest.raises(UsageError, match=f"at least {least}x{least}"):
            network(torch.empty(1, 3, least, least - 1))
        network.min_size = 1
        with pytest.raises(RuntimeError, match="too small"):
            network(torch.empty(1, 3, least, least - 1))
    assert least <= 32


def convolution(x, weights, padding):
    return F.relu(F.conv2d(x, next(weights), next(weights), padding=padding))


def reference_module(x, weights):
    """Figure 2(b) of the paper, from weights and biases in the order of its branches."""
    one = convolution(x, weights, 0)
    three = convolution(convolution(x, weights, 0), weights, 1)
    five = convolution(convolution(x, weights, 0), weights, 2)
    pooled = convolution(F.max_pool2d(x, 3, 1, 1), weights, 0)
    return torch.cat([one, three, five, pooled], 1)


def reference_googlenet(x, state):
    """Table 1 from functions alone: all weights in order; logits and the auxiliary ones."""
    weights = (v for name, v in state.items() if not name.startswith(("auxiliary", "head")))

    def conv(x, stride, padding):
        return F.relu(F.conv2d(x, next(weights), next(weights), stride, padding))

    def pool(x):
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    def norm(x):
        return F.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)

    def auxiliary(x, number):
        w, b, w1, b1, w2, b2 = (v for n, v in state.items() if n.startswith(f"auxiliary.{number}."))
        x = F.relu(F.conv2d(F.avg_pool2d(x, 5, 3), w, b)).flatten(1)
        return F.linear(F.relu(F.linear(x, w1, b1)), w2, b2)

    x = norm(pool(conv(x, 2, 3)))
    x = pool(norm(conv(conv(x, 1, 0), 1, 1)))
    outputs = {}
    for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        outputs[name] = reference_module(x, weights)
        x = pool(outputs[name]) if name in ("3b", "4e") else outputs[name]
    assert next(weights, None) is None
    logits = F.linear(
        x.mean((2, 3)), state["head.classifier.weight"], state["head.classifier.bias"]
    )
    return [logits, auxiliary(outputs["4a"], 0), auxiliary(outputs["4d"], 1)]


def with_biases(network):
    """Give biases values that differ from zero, so that each one matters."""
    for name, value in network.state_dict().items():
        if name.endswith("bias"):
            value.normal_(std=0.1)
    return network


def test_equals_the_functional_version():
    torch.manual_seed(0)
    network = with_biases(build(spec_of("googlenet", num_classes=5))).eval()
    x = torch.randn(1, 3, 231, 224)
    with torch.no_grad():
        expected = reference_googlenet(x, network.state_dict())
        found = network.training_logits(x)
        assert torch.equal(network(x), found[0])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_the_naive_module_has_neither_reductions_nor_a_projection():
    torch.manual_seed(0)
    with torch.device("meta"):
        module = build(small("googlenet_naive")).stages.stage2.inception3a
    module.to_empty(device="cpu")
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    weights = iter(module.state_dict().values())
    x = torch.randn(2, 192, 5, 6)
    convolutions = [convolution(x, weights, padding) for padding in (0, 1, 2)]
    expected = torch.cat([*convolutions, F.max_pool2d(x, 3, 1, 1)], 1)
    assert next(weights, None) is None
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize(
    ("size", "as_in_the_paper"), [(14, True), (16, True), (13, False), (2, False)]
)
def test_the_auxiliary_grid_is_4x4_for_every_map(size, as_in_the_paper):
    pool = build(small("googlenet")).auxiliary_heads()[0].head.features.pool
    x = torch.randn(1, 2, size, size)
    expected = F.avg_pool2d(x, 5, 3) if as_in_the_paper else F.adaptive_avg_pool2d(x, 4)
    assert expected.shape[2:] == (4, 4)
    assert torch.equal(pool(x), expected)
    assert pool(torch.randn(1, 2, size, 20)).shape == (1, 2, 4, 4)


def test_auxiliary_heads_change_neither_the_logits_nor_the_other_weights():
    torch.manual_seed(0)
    network = build(small("googlenet_bn", num_classes=10)).eval()
    without = build(small("googlenet_bn", num_classes=10, auxiliary=False)).eval()
    state = network.state_dict()
    without.load_state_dict({k: v for k, v in state.items() if not k.startswith("auxiliary")})
    x = torch.randn(2, 3, 32, 37)
    assert torch.equal(network(x), without(x))
    assert len(without.training_logits(x)) == 1


def test_every_parameter_learns_from_the_training_loss():
    torch.manual_seed(0)
    network = build(small("googlenet_bn", num_classes=4))
    logits = network.training_logits(torch.randn(2, 3, 32, 32))
    target = torch.tensor([0, 3])
    sum(
        weight * F.cross_entropy(one, target)
        for weight, one in zip(network.loss_weights(), logits, strict=True)
    ).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_a_fixed_stage_fixes_the_heads_that_look_into_it():
    with torch.device("meta"):
        network = build(small("googlenet"))
    network.freeze(3)
    assert all(p.requires_grad for p in network.auxiliary.parameters())
    network.freeze(4)
    assert not any(p.requires_grad for p in network.auxiliary.parameters())
    network.freeze(-1)
    learning = [name for name, p in network.named_parameters() if p.requires_grad]
    assert learning == ["head.classifier.weight", "head.classifier.bias"]
    network.freeze(0)
    assert all(p.requires_grad for p in network.parameters())


def test_the_naive_modules_widen_from_stage_to_stage():
    """Section 4: the pool's output merges with the convolutions', so that widths only grow."""
    with torch.device("meta"):
        network = build(spec_of("googlenet_naive"))
    assert network.feature_info.channels() == [64, 192, 832, 3344, 4944]


@pytest.mark.parametrize("name", FORMS)
def test_dropout_as_published(name):
    with torch.device("meta"):
        network = build(spec_of(name))
    assert network.head.dropout.p == (0.2 if name == "googlenet_bn" else 0.4)
    assert [head.head.dropout.p for head in network.auxiliary_heads()] == [0.7, 0.7]


@pytest.mark.parametrize("name", FORMS)
def test_spec_goes_through_json(name):
    for spec in (spec_of(name), small(name, auxiliary=False)):
        assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("field", "value"),
    [("module", "wide"), ("norm", "layer"), ("large_kernel", 7), ("last_pool", 4), ("stem", "x")],
)
def test_values_that_are_not_allowed(field, value):
    with pytest.raises(UsageError, match=str(value)):
        spec_of("googlenet", **{field: value})


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        pytest.param("googlenet_bn", 5e-4, marks=pytest.mark.slow),
        pytest.param("googlenet", 5e-4, marks=pytest.mark.slow),
        pytest.param("googlenet_naive", 3e-5, marks=pytest.mark.slow),
    ],
)
def test_small_form_learns_real_images(name, rate):
    """Some steps on digits as images of 32x32 pixels."""
    torch.manual_seed(0)
    network = build(small(name, num_classes=10, in_chans=1))
    digits = load_digits()
    images = F.interpolate(torch.tensor(digits.images[:4, None]).float() / 8 - 1, size=32)
    labels = torch.tensor(digits.target[:4])
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    losses = []
    for _ in range(6):
        loss = sum(
            weight * F.cross_entropy(logits, labels)
            for weight, logits in zip(
                network.loss_weights(), network.training_logits(images), strict=True
            )
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-2:]) < 0.75 * losses[0]
