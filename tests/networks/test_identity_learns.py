"""The small forms of the 2016 units, highway networks and ideas learn real images."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from reslab import networks
from reslab.networks.network import build

CHANCE = 2.3026  # the loss of a guess among ten


@pytest.fixture(scope="module")
def digits():
    """96 written digits, enlarged to 16 pixels."""
    data = load_digits()
    images = torch.tensor(data.images[:96], dtype=torch.float32)[:, None] / 8 - 1
    return F.interpolate(images, scale_factor=2), torch.tensor(data.target[:96])


def smaller(spec):
    """Two blocks a stage, or fewer channels, are enough here."""
    if hasattr(spec, "stride_on"):
        stages = tuple(dataclasses.replace(s, depth=2) for s in spec.stages)
        return networks.replace(spec, stages=stages)
    return networks.replace(spec, width=16) if "cnn" in spec.name else spec


QUICK = ("preact_resnet20", "highway10")
OTHERS = (
    "resnet20_exclusive_gate",
    "resnet20_dropout_shortcut",
    "resnet20_relu_preact",
    "five_block_residual",
    "resnet20_halved",
    "resnet20_shortcut_gate_b0",
    "resnet20_bn_after_add",
    "resnet20_relu_before_add",
    "preact_resnet164",
    "highway_cnn",
    "plain_cnn10",
    "five_block_plain",
)


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_a_few_steps_lower_the_loss(name, digits):
    torch.manual_seed(0)
    count = 48 if name in QUICK else 96
    images, labels = (values[:count] for values in digits)
    spec = networks.replace(smaller(networks.entry(name).spec), in_chans=1, img_size=16)
    network = build(spec)
    without_norm = "cnn" in name or "block" in name
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003 if without_norm else 0.01)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-3:]) / 3 < 0.9 * CHANCE, losses
