"""The Inception networks of 2016: their integers, their blocks, their forms for small images."""

import json

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from families import slow_unless
from reslab import networks
from reslab.errors import UsageError
from reslab.networks.cost import measure
from reslab.networks.inception import (
    LinearResidualBlock,
    ScaledResidualBlock,
    expanded,
    padded,
    without_strides,
)
from reslab.networks.inception_blocks import (
    Concat,
    Conv,
    Pool,
    conv_act,
    conv_norm_act,
    fork,
    make_fork,
    make_pool,
    out_width,
)
from reslab.networks.network import build

PUBLISHED = (
    "inception_v4",
    "inception_resnet_v1",
    "inception_resnet_v2",
    "inception_resnet_v2_slim",
)
# One form of the paper by default; the others are as large and are built in seconds each.
EACH = slow_unless({"inception_resnet_v1"}, PUBLISHED)
SMALL = ("inception_resnet_small", "inception_plain_small")


def spec_of(name, **changes):
    return networks.replace(networks.entry(name).spec, **changes)


def small(name, **changes):
    return networks.replace(networks.entry(name).spec.with_stem("small"), img_size=32, **changes)


@pytest.mark.parametrize("name", EACH)
def test_parameters_and_multiply_adds(name):
    integers = {
        "inception_v4": (42_679_816, 12_253_974_624),
        "inception_resnet_v1": (22_756_328, 6_206_361_696),
        "inception_resnet_v2": (32_433_928, 9_257_953_632),
        "inception_resnet_v2_slim": (55_843_464, 13_155_794_016),
    }
    cost = measure(spec_of(name))
    assert (cost.params, cost.macs) == integers[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_small_form_has_the_same_parameters(name):
    with torch.device("meta"):
        published, other = build(spec_of(name)), build(small(name))
    shapes = [
        {k: v.shape for k, v in network.state_dict().items()} for network in (published, other)
    ]
    assert shapes[0] == shapes[1]


def test_the_small_networks_cost_what_residual_networks_of_20_to_56_layers_do():
    costs = [measure(spec_of(name)) for name in SMALL]
    assert {(cost.params, cost.macs) for cost in costs} == {(577_242, 121_022_976)}
    low, high = (measure(spec_of(name)).macs for name in ("resnet20", "resnet56"))
    assert low < costs[0].macs < high


def maps(network, size):
    """Return the (channels, side) of the maps of stem and stages for a square image."""
    with torch.device("meta"), torch.no_grad():
        x, found = torch.empty(1, network.spec.in_chans, size, size), []
        for part in network.parts().values():
            x = part(x)
            found.append((x.shape[1], x.shape[2]))
    return found


@pytest.mark.parametrize("name", EACH)
def test_maps_as_in_the_paper(name):
    widths = {
        "inception_v4": [64, 192, 384, 1024, 1536],
        "inception_resnet_v1": [64, 192, 256, 896, 1792],
        "inception_resnet_v2": [64, 192, 384, 1152, 2144],
        "inception_resnet_v2_slim": [64, 192, 320, 1088, 1536],
    }[name]
    with torch.device("meta"):
        published, other = build(spec_of(name)), build(small(name))
    assert maps(published, 299) == list(zip(widths, [147, 71, 35, 17, 8], strict=True))
    assert maps(other, 32) == list(zip(widths, [32, 32, 16, 8, 4], strict=True))
    assert published.feature_info.channels() == other.feature_info.channels() == widths
    assert other.feature_info.reduction() == [1, 1, 2, 4, 8]


@pytest.mark.parametrize("name", slow_unless({"inception_resnet_small"}, SMALL))
def test_maps_of_the_small_networks(name):
    with torch.device("meta"):
        own, other = build(spec_of(name)), build(spec_of(name, img_size=224).with_stem("imagenet"))
    assert maps(own, 32) == [(64, 32), (64, 32), (128, 16), (256, 8)]
    assert maps(other, 224) == [(64, 112), (64, 56), (128, 28), (256, 14)]
    for network in (own, other):
        size = network.spec.img_size
        sides = [-(-size // reduction) for reduction in network.feature_info.reduction()]
        assert sides == [side for _, side in maps(network, size)]


@pytest.mark.parametrize("name", slow_unless((), PUBLISHED))
def test_min_size_is_the_least_that_works(name):
    with torch.device("meta"), torch.no_grad():
        network = build(spec_of(name)).eval()
        least = network.min_size
        assert network(torch.empty(1, 3, least, least + 10)).shape == (1, 1000)
        with pytest.raises(UsageError, match=f"at least {least}x{least}"):
            network(torch.empty(1, 3, least - 1, least))
        network.min_size = 1
        with pytest.raises(RuntimeError, match=r"[Kk]ernel size|too small"):
            network(torch.empty(1, 3, least - 1, least))
        assert build(small(name)).min_size <= 32


def unlike_at_start(module):
    """Give norms and biases values that differ from their start, so that each one matters."""
    for name, value in module.state_dict().items():
        if value.is_floating_point() and value.dim() == 1:
            value.copy_(torch.rand_like(value) + (0.5 if "weight" in name or "var" in name else 0))
    return module.eval()


def conv(x, weights, padding=0, stride=1, eps=1e-3):
    """relu(BN(W x)) with the next weights of a module."""
    x = F.conv2d(x, next(weights), padding=padding, stride=stride)
    scale, shift, mean, var, _ = (next(weights) for _ in range(5))
    return F.relu(F.batch_norm(x, mean, var, scale, shift, eps=eps))


def average(x):
    """Average each 3x3 neighbourhood over the pixels that are there."""
    ones = torch.ones_like(x[:, :1])
    kernel = torch.ones(1, 1, 3, 3)
    total = F.conv2d(x.flatten(0, 1)[:, None], kernel, padding=1).view_as(x)
    return total / F.conv2d(ones, kernel, padding=1)


def module_a(x, w):
    one = conv(x, w)
    three = conv(conv(x, w), w, 1)
    double = conv(conv(conv(x, w), w, 1), w, 1)
    return torch.cat([one, three, double, conv(average(x), w)], 1)


def module_b(x, w):
    row, column = (0, 3), (3, 0)
    one = conv(x, w)
    seven = conv(conv(conv(x, w), w, row), w, column)
    double = conv(conv(conv(conv(conv(x, w), w, column), w, row), w, column), w, row)
    return torch.cat([one, seven, double, conv(average(x), w)], 1)


def module_c(x, w):
    row, column = (0, 1), (1, 0)
    outputs = [conv(x, w)]
    y = conv(x, w)
    outputs += [conv(y, w, row), conv(y, w, column)]
    y = conv(conv(conv(x, w), w, column), w, row)
    outputs += [conv(y, w, row), conv(y, w, column), conv(average(x), w)]
    return torch.cat(outputs, 1)


def reduction_a(x, w):
    one = conv(x, w, stride=2)
    return torch.cat([one, conv(conv(conv(x, w), w, 1), w, stride=2), F.max_pool2d(x, 3, 2)], 1)


@pytest.mark.parametrize(
    ("stage", "block", "width", "reference"),
    [
        ("stage2", "block4", 384, module_a),
        ("stage3", "fork1", 384, reduction_a),
        ("stage3", "block7", 1024, module_b),
        ("stage4", "block3", 1536, module_c),
    ],
)
def test_modules_of_v4_equal_the_functional_versions(stage, block, width, reference):
    torch.manual_seed(0)
    with torch.device("meta"):
        module = build(spec_of("inception_v4")).stages.get_submodule(f"{stage}.{block}")
    module.to_empty(device="cpu")
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.05)
    unlike_at_start(module)
    x, weights = torch.rand(2, width, 7, 8), iter(module.state_dict().values())
    with torch.no_grad():
        torch.testing.assert_close(module(x), reference(x, weights), rtol=1e-3, atol=1e-4)
    assert next(weights, None) is None


def test_residual_modules_compute_the_equations():
    """relu(x + s (W [F_1(x), F_2(x)] + b)), and x + W [F_1(x), F_2(x)] + b."""
    torch.manual_seed(0)
    branches = fork([Conv(3)], [Conv(4), Conv(5, (1, 7)), Conv(6, (7, 1))])
    branch = unlike_at_start(expanded(8, branches, conv_norm_act))
    weights = iter(branch.state_dict().values())
    x = torch.randn(2, 8, 9, 6)
    one = conv(x, weights, eps=1e-5)
    seven = conv(x, weights, eps=1e-5)
    seven = conv(conv(seven, weights, (0, 3), eps=1e-5), weights, (3, 0), eps=1e-5)
    residual = F.conv2d(torch.cat([one, seven], 1), next(weights), next(weights))
    torch.testing.assert_close(ScaledResidualBlock(branch, 0.1)(x), F.relu(x + 0.1 * residual))
    torch.testing.assert_close(LinearResidualBlock(branch)(x), x + residual)


@pytest.mark.parametrize("name", ["inception_resnet_v1", "inception_resnet_v2"])
def test_residual_blocks_of_the_paper(name):
    """Every module is scaled, ends in a ReLU and has a linear expansion with a bias."""
    with torch.device("meta"):
        network = build(spec_of(name))
    blocks = [m for m in network.modules() if isinstance(m, ScaledResidualBlock)]
    assert [block.scale for block in blocks] == [0.17] * 5 + [0.10] * 10 + [0.20] * 5
    for block in blocks:
        assert isinstance(block.branch[-1], nn.Conv2d)
        assert block.branch[-1].bias is not None


def test_the_last_block_of_the_slim_network_is_linear():
    with torch.device("meta"):
        network = build(spec_of("inception_resnet_v2_slim"))
    blocks = [
        m for m in network.modules() if isinstance(m, ScaledResidualBlock | LinearResidualBlock)
    ]
    assert len(blocks) == 40
    assert [isinstance(block, LinearResidualBlock) for block in blocks] == [False] * 39 + [True]


def test_plain_is_residual_without_its_shortcuts():
    """And without the scale, which has nothing to weigh the branch against."""
    torch.manual_seed(0)
    plain = build(spec_of("inception_plain_small"))
    residual = build(spec_of("inception_resnet_small", scale=1.0))
    residual.load_state_dict(plain.state_dict())
    for module in residual.modules():
        if isinstance(module, ScaledResidualBlock):
            module.shortcut.register_forward_hook(lambda _m, _i, y: torch.zeros_like(y))
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(plain(x), residual(x))


def test_concat_keeps_the_order_of_the_branches():
    concat = Concat([nn.Identity(), nn.ReLU()])
    x = torch.randn(1, 2, 3, 3)
    assert torch.equal(concat(x), torch.cat([x, x.relu()], 1))


def test_forms_of_layers():
    layers = (Pool("max", stride=2, valid=True), Conv(4, 3, valid=True))
    branched = fork([Pool("max", stride=2, valid=True)], [Conv(5, 3, stride=2, valid=True)])
    assert padded(layers) == (Pool("max", stride=2), Conv(4, 3))
    assert without_strides(layers) == (Conv(4, 3),)
    assert without_strides([branched]) == (fork([Pool("max")], [Conv(5, 3)]),)
    assert out_width(3, [*layers, branched]) == 4 + 5
    x = torch.randn(1, 3, 11, 9)
    for form, size in ((branched, (5, 4)), (padded([branched])[0], (6, 5))):
        assert make_fork(3, form, conv_act)(x).shape == (1, 8, *size)


def test_average_pools_count_real_pixels_only():
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(make_pool(Pool("average"))(x), average(x))


@pytest.mark.parametrize("name", [*PUBLISHED, *SMALL])
def test_spec_goes_through_json(name):
    for form in ("small", "imagenet"):
        spec = networks.entry(name).spec.with_stem(form)
        assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("inception_v4", {"scales": (0.1, 0.1, 0.1)}, "none .* for v4"),
        ("inception_resnet_v1", {"scales": None}, "three residual scales"),
        ("inception_resnet_v1", {"scales": (0.1, 0.2)}, "takes 3 residual scales"),
        ("inception_resnet_v2", {"scales": (0.1, 0.2, 2.0)}, r"in \(0, 1\], received 2.0"),
        ("inception_resnet_v2", {"depths": (5, 10)}, r"each 1 or more, received \(5, 10\)"),
        ("inception_resnet_v2", {"variant": "v3"}, "unknown variant 'v3'"),
        ("inception_resnet_v2", {"stem": "tiny"}, "unknown stem 'tiny'"),
        ("inception_resnet_small", {"scale": 0.0}, "received 0.0"),
        ("inception_plain_small", {"depths": (1, 0, 1)}, r"received \(1, 0, 1\)"),
        ("inception_plain_small", {"stem": "tiny"}, "unknown stem 'tiny'"),
    ],
)
def test_values_that_are_not_allowed(name, changes, message):
    with pytest.raises(UsageError, match=message):
        spec_of(name, **changes)


@pytest.mark.parametrize(
    "name",
    slow_unless({"inception_resnet_small"}, (*SMALL, *PUBLISHED)),
)
def test_small_form_learns_real_images(name):
    """Some steps on digits as images of 32x32 pixels; two modules of a kind are enough for that."""
    torch.manual_seed(0)
    network = build(small(name, num_classes=10, in_chans=1, depths=(2, 2, 2)))
    digits = load_digits()
    images = F.interpolate(torch.tensor(digits.images[:4, None]).float() / 8 - 1, size=32)
    labels = torch.tensor(digits.target[:4])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3 if name in SMALL else 2e-4)
    losses = []
    for _ in range(5):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-2:]) < 0.85 * losses[0]
