"""Every network that torchvision or timm have too computes what theirs does, both ways."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from peers import assert_same_logits, compared, peer, shake
from torch import nn

from reslab import networks
from reslab.networks.network import build
from reslab.weights import LAYOUTS, convert, to_layout
from reslab.weights.read import Weights

pytestmark = pytest.mark.slow
CLASSES = 11
PAIRS = [
    (program, ours, theirs)
    for program in ("torchvision", "timm")
    for ours, theirs in LAYOUTS[program].networks.items()
]


def make_theirs(program: str, name: str) -> nn.Module:
    if program == "timm":
        return peer("timm").create_model(name, num_classes=CLASSES)
    models = peer("torchvision").models
    arguments = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the peer about its own defaults
        return models.get_model(name, weights=None, num_classes=CLASSES, **arguments)


@pytest.mark.parametrize(("program", "ours", "theirs"), PAIRS)
def test_the_same_logits_after_import_and_the_same_tensors_after_export(program, ours, theirs):
    network = shake(make_theirs(program, theirs))
    state = network.state_dict()
    found = convert(Weights(Path("weights.pth"), state))
    assert found.network.spec.name == ours
    assert found.unplaced == found.missing == ()
    size = networks.entry(ours).spec.img_size
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    assert_same_logits(network, found.network, images)
    exported = to_layout(found.network, LAYOUTS[program])
    assert set(exported) == set(state)
    assert all(torch.equal(exported[key], state[key]) for key in state)
    compared(program, ours)


@pytest.mark.parametrize(("program", "ours"), [("torchvision", "resnet18"), ("timm", "resnet18")])
def test_what_is_trained_here_works_there(program, ours):
    network = shake(build(networks.entry(ours).spec))
    network.reset_classifier(CLASSES)
    theirs = make_theirs(program, LAYOUTS[program].networks[ours]).eval()
    theirs.load_state_dict(to_layout(network, LAYOUTS[program]), strict=True)
    assert_same_logits(network, theirs, torch.randn(2, 3, 96, 80))


def test_googlenet_without_auxiliary_heads_gets_new_ones():
    models = peer("torchvision").models
    theirs = models.googlenet(
        weights=None, num_classes=CLASSES, aux_logits=False, init_weights=False
    )
    found = convert(Weights(Path("g.pth"), shake(theirs).state_dict()))
    assert found.network.spec.name == "googlenet_bn"
    assert found.missing == ()
    assert any("auxiliary" in note for note in found.notes)
    assert_same_logits(theirs, found.network, torch.randn(2, 3, 96, 96))
