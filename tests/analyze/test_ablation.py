import copy

import pytest
import torch
import torch.nn.functional as F
from awake import assert_untouched, awake, fingerprint, images, labels
from torch import nn

from reslab import networks
from reslab.analyze.ablation import ablate_blocks
from reslab.errors import UsageError
from reslab.models import named_spec
from reslab.networks.blocks import AdditiveBlock, ResidualBlock
from reslab.networks.network import build
from reslab.networks.resnet import StageSpec
from tolerance import rounding_of


def measured(network):
    with torch.no_grad():
        logits = network(images(40))
    wrong = 100 * (logits.argmax(1) != labels(40)).double().mean().item()
    return F.cross_entropy(logits, labels(40)).item(), wrong


def changed(network, name, module):
    other = copy.deepcopy(network)
    parent, _, key = name.rpartition(".")
    setattr(other.get_submodule(parent), key, module)
    return other


def assert_close(found, expected, network):
    assert found.loss == pytest.approx(expected[0], abs=rounding_of(network, expected[0]))
    assert found.error_pct == pytest.approx(expected[1], abs=2.6)  # an image may tip over


@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20", "resnet20_b"])
def test_deleting_a_block_leaves_its_shortcut(name):
    network = awake(name)
    before = fingerprint(network)
    found = ablate_blocks(network, images(40), labels(40), batch_size=16)
    assert_close(found, measured(network), network)
    assert len(found.deletions) == 9
    for lesion in found.deletions:
        (at,) = lesion.blocks
        block = network.get_submodule(at)
        if isinstance(block, ResidualBlock):
            alone = nn.Sequential(block.shortcut, nn.ReLU())
        elif isinstance(block, AdditiveBlock):
            alone = block.shortcut
        else:
            alone = nn.Sequential(block.activation, block.shortcut)
        assert_close(lesion, measured(changed(network, at, alone)), network)
        assert lesion.projects == (at.endswith("block1") and "stage1" not in at)
        assert lesion.increase_pct == pytest.approx(lesion.error_pct - found.error_pct)
    assert_untouched(network, before)


def test_swaps_are_of_neighbours_of_one_shape():
    network = awake("resnet20")
    found = ablate_blocks(network, images(40), labels(40), kinds=("swap",))
    assert not found.deletions
    assert [s.blocks for s in found.swaps] == [
        ("stages.stage1.block1", "stages.stage1.block2"),
        ("stages.stage1.block2", "stages.stage1.block3"),
        ("stages.stage2.block2", "stages.stage2.block3"),
        ("stages.stage3.block2", "stages.stage3.block3"),
    ]
    for swap in found.swaps:
        first, second = swap.blocks
        one, two = network.get_submodule(first), network.get_submodule(second)
        other = changed(changed(network, first, two), second, one)
        assert_close(swap, measured(other), network)


def test_a_plain_block_becomes_the_identity_where_shapes_allow():
    network = awake("plain20")
    found = ablate_blocks(network, images(40), labels(40), kinds=("delete",))
    names = [lesion.blocks[0] for lesion in found.deletions]
    assert names == [
        f"stages.stage{stage}.block{block}"
        for stage in (1, 2, 3)
        for block in ((1, 2, 3) if stage == 1 else (2, 3))
    ]
    for lesion in found.deletions:
        other = changed(network, lesion.blocks[0], nn.Identity())
        assert_close(lesion, measured(other), network)


def test_a_layer_of_vgg_goes_with_its_norm_and_activation():
    network = awake("vgg11_bn", img_size=32, stem="small")
    x = images(8, side=32)
    found = ablate_blocks(network, x, labels(8), kinds=("delete",))
    names = [lesion.blocks[0] for lesion in found.deletions]
    assert names == ["stages.stage3.conv3_2", "stages.stage4.conv4_2"] + [
        f"stages.stage5.conv5_{k}" for k in (1, 2)
    ]
    other = copy.deepcopy(network)
    for layer in ("conv3_2", "norm3_2", "act3_2"):
        setattr(other.stages.stage3, layer, nn.Identity())
    with torch.no_grad():
        loss = F.cross_entropy(other(x), labels(8)).item()
    assert found.deletions[0].loss == pytest.approx(loss, abs=rounding_of(network, loss))


@pytest.mark.parametrize(
    ("name", "deletions"),
    [
        ("highway_cnn", 19),
        ("resnet20_exclusive_gate", 9),
        ("resnet20_bn_after_add", 9),
        ("five_block_residual", 5),
    ],
)
def test_every_kind_of_block_can_be_left_out(name, deletions):
    network = awake(name)
    found = ablate_blocks(network, images(2), labels(2), kinds=("delete",))
    assert len(found.deletions) == deletions


def test_a_network_that_cannot_do_without_anything():
    stages = (StageSpec(width=8, depth=1, stride=1),)
    network = build(networks.replace(named_spec("plain20", num_classes=5), stages=stages))
    with pytest.raises(UsageError, match="left out"):
        ablate_blocks(network, images(2), labels(2))


def test_progress_ends_at_the_end():
    heard = []
    ablate_blocks(
        awake("resnet20"),
        images(10),
        labels(10),
        batch_size=4,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard[-1] == (3 * (1 + 9 + 4), 3 * (1 + 9 + 4))
    assert [done for done, _ in heard] == list(range(1, len(heard) + 1))
