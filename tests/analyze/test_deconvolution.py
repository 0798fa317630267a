"""Projections against deconvolutional networks written out by hand."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reslab.analyze.deconvolution import passing, project
from reslab.models import create_model
from tolerance import assert_same


def images(count, side=12):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(5))


def signal_of(output, unit):
    """All zero but the unit's largest value."""
    signal = torch.zeros_like(output)
    place = output[0, unit].flatten().argmax()
    signal[0, unit].view(-1)[place] = output[0, unit].flatten()[place]
    return signal


def unpool(signal, switches, like):
    """Each value goes to where its maximum came from; overlapping windows add up."""
    flat = torch.zeros_like(like).flatten(2)
    return flat.scatter_add(2, switches.flatten(2), signal.flatten(2)).view_as(like)


def small_zfnet():
    from reslab.networks import entry
    from reslab.networks.network import build

    wide = entry("zfnet").spec
    narrow = [dataclasses.replace(c, width=w)
              for c, w in zip(wide.convolutions, (6, 5, 4, 4, 4), strict=True)]  # fmt: skip
    spec = dataclasses.replace(
        wide, convolutions=tuple(narrow), fc_widths=(8, 8), num_classes=3, img_size=32
    ).with_stem("small")
    torch.manual_seed(3)
    return build(dataclasses.replace(spec, fc_widths=(8, 8))).eval()


@pytest.mark.parametrize("unit", [0, 2])
def test_unpooling_rectification_and_transposed_filters(unit):
    """Zeiler and Fergus' operations in ZFNet's second layer, each by a function of its own."""
    network = small_zfnet()
    conv1, conv2 = network.stem.conv1, network.stages.stage1.conv2
    normalise = network.stages.stage1.norm
    nn.init.constant_(conv2.bias, 1.0)  # every unit responds
    x = images(1, 32)
    with torch.no_grad():
        first = conv1(x).relu()
        pooled, switches = F.max_pool2d(first, 3, 2, ceil_mode=True, return_indices=True)
        output = conv2(normalise(pooled)).relu()
        back = F.relu(signal_of(output, unit))
        back = F.conv_transpose2d(back, conv2.weight, padding=conv2.padding)
        _, through_norm = torch.func.vjp(normalise, pooled)
        back = unpool(through_norm(back)[0], switches, first)
        expected = F.conv_transpose2d(F.relu(back), conv1.weight, padding=conv1.padding)
    found = project(network, x, torch.tensor([unit]), module="stages.stage1")
    torch.testing.assert_close(found, expected)
    assert found.abs().max() > 0


def test_a_residual_block_sends_the_signal_through_branch_and_shortcut():
    torch.manual_seed(6)
    network = create_model("resnet20").eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2)
            module.running_var.uniform_(0.5, 2)
    x, unit = images(1, 32), 7
    block = network.stages.stage1.block1
    conv1, norm1, _, conv2, norm2 = block.branch

    def scale(norm, signal):
        return signal * (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None, None]

    with torch.no_grad():
        output = block(network.stem(x))
        signal = F.relu(signal_of(output, unit))
        branch = F.conv_transpose2d(scale(norm2, signal), conv2.weight, padding=1)
        branch = F.conv_transpose2d(scale(norm1, F.relu(branch)), conv1.weight, padding=1)
        back = scale(network.stem.norm, F.relu(branch + signal))
        expected = F.conv_transpose2d(back, network.stem.conv.weight, padding=1)
    found = project(network, x, torch.tensor([unit]), module="stages.stage1.block1")
    assert_same(network, found, expected)


def test_guided_is_the_product_of_both_rules():
    """One rectifier: gradient, deconvolution, both."""
    network = small_zfnet()
    x, unit = images(1, 32), torch.tensor([1])
    conv = network.stem.conv1
    with torch.no_grad():
        inner = conv(x)
        # A negative response, so that the three rules differ.
        signal = -signal_of(inner, 1).abs()
        active, positive = (inner > 0).float(), F.relu(signal)
    for rule, passed in (
        ("gradient", signal * active),
        ("deconvolution", positive),
        ("guided", positive * active),
    ):
        with torch.enable_grad(), passing(rule):
            z = inner.clone().requires_grad_()
            (back,) = torch.autograd.grad(nn.ReLU()(z), z, signal)
        torch.testing.assert_close(back, passed)
    with torch.no_grad():
        signal = signal_of(inner.relu(), 1)
        expected = F.conv_transpose2d(signal, conv.weight, padding=conv.padding)
    for rule in ("gradient", "deconvolution", "guided"):
        found = project(network, x, unit, module="stem", rule=rule)
        torch.testing.assert_close(found, expected)


def test_images_do_not_disturb_each_other_and_nothing_is_left_behind():
    torch.manual_seed(7)
    network = create_model("resnet20").train()
    state = {k: v.clone() for k, v in network.state_dict().items()}
    x, units = images(3, 32), torch.tensor([0, 5, 5])
    together = project(network, x, units, module="stages.stage2")
    apart = [project(network, x[i : i + 1], units[i : i + 1], module="stages.stage2")
             for i in range(3)]  # fmt: skip
    assert_same(network, together, torch.cat(apart))
    assert network.training
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    assert not any(m._forward_hooks for m in network.modules())
    # The rule is gone: a gradient is a gradient again.
    z = torch.tensor([-1.0, 2.0], requires_grad=True)
    torch.relu(z).sum().backward()
    assert z.grad.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["inception_resnet_small", "highway10", "preact_resnet20"])
def test_networks_of_other_kinds(name):
    torch.manual_seed(0)
    network = create_model(name)
    side = network.spec.img_size
    x = torch.randn(1, network.spec.in_chans, side, side)
    found = project(network, x, torch.tensor([0]))
    assert found.shape == x.shape
    assert torch.isfinite(found).all()
