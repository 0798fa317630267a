"""Checkpoints of other people's scripts compute the same after import, in every layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign_resnets import ScriptResNet, akamaster, fb_resnet
from peers import assert_same_logits, compared, shake
from torch import nn

from reslab.weights import LAYOUTS, convert, to_layout
from reslab.weights.read import Weights


def images(size: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def imported(network: nn.Module, **options: str) -> nn.Module:
    found = convert(Weights(Path("checkpoint.th"), network.state_dict()), **options)
    assert found.unplaced == found.missing == ()
    return found.network


@pytest.mark.parametrize(
    "depth", [20, *(pytest.param(depth, marks=pytest.mark.slow) for depth in (32, 44, 56, 110))]
)
def test_akamaster_pads_on_both_sides(depth):
    theirs = shake(akamaster(depth))
    found = convert(Weights(Path("checkpoint.th"), theirs.state_dict()))
    assert (found.network.spec.name, found.layout.name) == (f"resnet{depth}", "akamaster")
    assert_same_logits(theirs, found.network, images())
    assert_same_logits(theirs, found.network, images(24))
    compared("akamaster", found.network.spec.name)


def test_padding_at_the_other_side_is_another_network():
    theirs = shake(akamaster(20))
    wrong = imported(theirs, zero_padding="end")
    with pytest.raises(AssertionError, match=" of "):
        assert_same_logits(theirs, wrong, images())


def test_akamaster_weights_go_back_bit_for_bit():
    theirs = shake(akamaster(32))
    back = to_layout(imported(theirs), LAYOUTS["akamaster"])
    state = theirs.state_dict()
    assert list(back) == list(state)
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_gradients_and_batch_statistics_are_those_of_the_permuted_network():
    theirs = shake(akamaster(20)).train()
    ours = imported(theirs).train()
    x = images()
    torch.testing.assert_close(ours(x), theirs(x))
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    found = ours.stages.stage2.block1.branch.conv1.weight.grad
    torch.testing.assert_close(found, theirs.layer2[0].conv1.weight.grad, rtol=1e-3, atol=1e-3)


def test_a_script_that_pads_at_the_end():
    theirs = shake(ScriptResNet(3, "A end", shortcut="shortcut", head="linear"))
    assert_same_logits(theirs, imported(theirs, zero_padding="end"), images())


@pytest.mark.parametrize(
    ("shortcut", "head", "layout"),
    [("downsample", "fc", "cifar-models"), ("shortcut", "linear", "kuangliu")],
)
@pytest.mark.parametrize("depth", [20, pytest.param(56, marks=pytest.mark.slow)])
def test_projections(depth, shortcut, head, layout):
    theirs = shake(ScriptResNet((depth - 2) // 6, "B", shortcut=shortcut, head=head))
    found = convert(Weights(Path("w.pt"), theirs.state_dict()))
    assert (found.network.spec.name, found.layout.name) == (f"resnet{depth}_b", layout)
    assert_same_logits(theirs, found.network, images())
    compared(layout, found.network.spec.name)


def test_the_wide_network_that_people_train_on_cifar():
    """kuangliu's ResNet18: 64 to 512 channels behind one 3x3 convolution."""
    widths = (64, 128, 256, 512)
    theirs = shake(ScriptResNet(2, "B", shortcut="shortcut", head="linear", widths=widths))
    found = convert(Weights(Path("ckpt.pth"), theirs.state_dict()))
    assert (found.network.spec.name, found.layout.name) == ("resnet18", "kuangliu")
    assert found.network.feature_info.reduction() == [1, 1, 2, 4, 8]
    assert_same_logits(theirs, found.network, images())
    compared("kuangliu", "resnet18, small stem")


@pytest.mark.parametrize(
    ("depth", "ours"),
    [
        (20, "resnet20"),
        pytest.param(18, "resnet18", marks=pytest.mark.slow),
        (50, "resnet50_v15"),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_converted_lua_networks(depth, ours, bias):
    theirs = shake(fb_resnet(depth, bias=bias))
    found = convert(Weights(Path("model.pth"), theirs.state_dict()))
    assert (found.network.spec.name, found.layout.name) == (ours, "fb.resnet.torch")
    assert_same_logits(theirs, found.network, images(32 if depth == 20 else 64))
    assert any("biases" in note for note in found.notes) == bias
    compared("fb.resnet.torch", ours)
