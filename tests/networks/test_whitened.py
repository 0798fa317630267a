"""Networks behind a whitening convolution: the author's equations, weights that stay, integers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.cost import measure
from reslab.networks.fused import fuse
from reslab.networks.init import zero_last_scale
from reslab.networks.network import build
from reslab.networks.whitened import WhitenedSpec, WhiteningConv2d, fit_to_images

NAMES = ["airbench94", "airbench94_relu", "airbench96"]


def make(name: str = "airbench94", **changes):
    torch.manual_seed(3)
    return build(networks.replace(networks.entry(name).spec, **changes))


def small(**changes):
    return make(widths=(32, 48, 64), **changes)


def pictures(count: int = 64, channels: int = 3, side: int = 32) -> torch.Tensor:
    """Draw smooth images: neighbouring pixels and channels are alike, as in photographs."""
    torch.manual_seed(1)
    rough = torch.randn(count, channels, side // 4, side // 4)
    shared = torch.randn(count, 1, side // 4, side // 4)
    x = F.interpolate(rough + 2 * shared, (side, side), mode="bilinear")
    return x + 0.1 * torch.randn(count, channels, side, side)


def disturbed(network):
    """Give every value of a network another one, so that no term of the equation is trivial."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif value.is_floating_point() and not name.endswith("norm1.weight"):
                value.add_(0.05 * torch.randn_like(value))
    return network


def reference(x, state, convolutions, act, groups=3):
    """Evaluate as the author's script does, with its 3x3 pool, of functions alone."""

    def norm(x, at):
        parts = (f"{at}.{part}" for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *(state[part] for part in parts), eps=1e-12)

    x = act(F.conv2d(x, state["stem.conv.weight"], state["stem.conv.bias"]))
    for number in range(1, groups + 1):
        at = f"stages.group{number}"
        x = F.max_pool2d(F.conv2d(x, state[f"{at}.conv1.weight"], padding="same"), 2)
        x = act(norm(x, f"{at}.norm1"))
        inner = at if convolutions == 2 else f"{at}.block.branch"
        y = act(norm(F.conv2d(x, state[f"{inner}.conv2.weight"], padding=1), f"{inner}.norm2"))
        if convolutions == 3:
            y = norm(F.conv2d(y, state[f"{inner}.conv3.weight"], padding=1), f"{inner}.norm3")
            y = act(y + x)
        x = y
    x = F.max_pool2d(x, 3).flatten(1)
    return F.linear(x, state["head.classifier.weight"]) * (1 / 9)


@pytest.mark.parametrize("convolutions", [2, 3])
@pytest.mark.parametrize(("name", "act"), [("airbench94", F.gelu), ("airbench94_relu", F.relu)])
def test_the_equation(convolutions, name, act):
    network = make(name, widths=(32, 48, 64), convolutions=convolutions)
    disturbed(network).double().eval()
    images = pictures(4).double()
    wanted = reference(images, network.state_dict(), convolutions, act)
    with torch.no_grad():
        torch.testing.assert_close(network(images), wanted)
        fuse(network)
        torch.testing.assert_close(network(images), wanted)


@pytest.mark.parametrize("name", ["airbench94", "airbench94_relu"])
def test_integers(name):
    """The paper counts 1.97 million values that learn."""
    spec = networks.entry(name).spec
    cost = measure(spec)
    layers = [(31, 12, 24, 1), (31, 24, 64, 9), (15, 64, 64, 9), (15, 64, 256, 9)]  # side of map
    layers += [(7, 256, 256, 9), (7, 256, 256, 9), (3, 256, 256, 9)]
    shifts = 24 + 2 * (64 + 256 + 256)
    learning = sum(into * out * area for _, into, out, area in layers[1:]) + shifts + 2560
    assert cost.params == learning == 1_971_352
    assert cost.macs == sum(s**2 * into * out * area for s, into, out, area in layers) + 2560
    fixed = sum(v.numel() for k, v in make(name).state_dict().items() if k.endswith("weight"))
    assert fixed - (learning - shifts) == 24 * 12 + shifts - 24


def test_whitened_patches_are_uncorrelated_and_of_equal_power():
    layer = WhiteningConv2d(3, 2).double()
    images = pictures().double()
    layer.fit(images)
    with torch.no_grad():
        layer.bias.zero_()
        y = layer(images)
    first, second = y.transpose(0, 1).flatten(1).chunk(2)
    assert torch.equal(first, -second)
    moments = first @ first.T / first.shape[1]
    power = moments.diagonal()
    assert torch.allclose(moments - power.diag(), torch.zeros(12, 12).double(), atol=1e-6)
    assert ((power > 0.9) & (power < 1)).all()  # v / (v + 5e-4)
    assert torch.equal(power, power.sort(descending=True).values)
    # Before, the strongest direction had hundreds of times the power of the weakest.
    patches = F.unfold(images, 2).transpose(0, 1).flatten(1)
    before = torch.linalg.eigvalsh(patches @ patches.T / patches.shape[1])
    assert before[-1] > 100 * before[0]


def test_the_sign_of_a_filter_is_settled():
    layer = WhiteningConv2d(3, 2)
    layer.fit(pictures())
    filters = layer.weight[:12].flatten(1)
    assert (filters.gather(1, filters.abs().argmax(1, keepdim=True)) > 0).all()
    again = WhiteningConv2d(3, 2)
    again.fit(pictures())
    assert torch.equal(layer.weight, again.weight)


def test_images_are_asked_for_only_where_weights_follow_from_them():
    network = small()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert fit_to_images(network, pictures)
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"stem.conv.weight"}
    plain = nn.Sequential(nn.Conv2d(3, 4, 2))
    assert not fit_to_images(plain, lambda: pytest.fail("nobody needs them"))


def test_images_without_any_contrast_whiten_to_finite_numbers():
    layer = WhiteningConv2d(1, 2)
    layer.fit(torch.zeros(8, 1, 16, 16))
    assert layer.weight.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_fixed_stays_fixed(name):
    network = make(name, widths=(32, 48, 64))
    learning = {k for k, _ in network.named_parameters()}
    fixed = {k for k in network.state_dict() if k.endswith("weight")} - learning
    norms = [k for k, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert fixed == {"stem.conv.weight", *(f"{k}.weight" for k in norms)}
    assert {"stem.conv.bias", *(f"{k}.bias" for k in norms)} < learning
    network.freeze(1)
    network.freeze(0)
    assert {k for k, p in network.named_parameters() if p.requires_grad} == learning
    zero_last_scale(network)  # a scale that cannot learn would keep its branch at zero
    assert all((network.get_submodule(k).weight == 1).all() for k in norms)


def test_convolutions_begin_as_the_identity():
    network = small()
    x = torch.randn(2, 24, 9, 9)
    first = network.stages.group1.conv1
    with torch.no_grad():
        torch.testing.assert_close(first(x)[:, :24], x)
        torch.testing.assert_close(network.stages.group1.conv2(first(x)), first(x))
    assert first.weight[24:].abs().max() <= (24 * 9) ** -0.5
    assert first.weight[24:].std() > 0.5 * (3 * 24 * 9) ** -0.5


def test_any_size_from_nine_pixels_on():
    network = small().eval()
    assert network.min_size == 9
    with torch.no_grad():
        for side in (9, 24, 28, 45):
            assert network(torch.randn(1, 3, side, side)).shape == (1, 10)
    with pytest.raises(UsageError, match="at least 9x9"):
        network(torch.randn(1, 3, 8, 8))


def test_a_new_classifier_keeps_the_scale():
    network = small().eval()
    network.reset_classifier(4)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        vector = network.forward_head(network.forward_features(x), pre_logits=True)
        expected = vector @ network.head.classifier.weight.T / 9
        torch.testing.assert_close(network(x), expected)
    assert network.head.classifier.bias is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"act": "tanh"}, "tanh"),
        ({"widths": ()}, "widths"),
        ({"widths": (16, 0)}, "widths"),
        ({"convolutions": 4}, "2 or 3"),
        ({"whitening": 0}, "whitening"),
        ({"norm_momentum": 0.0}, "norm_momentum"),
        ({"logit_scale": 0.0}, "logit_scale"),
    ],
)
def test_what_makes_no_network_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        WhitenedSpec(name="x", **changes)
