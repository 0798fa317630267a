"""Recomputing activations must change memory and nothing else."""

import copy

import pytest
import torch
import torch.nn.functional as F

from reslab import networks
from reslab.networks.network import Stage, build


def step(network, images, labels):
    network.zero_grad()
    F.cross_entropy(network(images), labels).backward()
    gradients = {name: p.grad.clone() for name, p in network.named_parameters()}
    return gradients, {name: b.clone() for name, b in network.named_buffers()}


@pytest.mark.parametrize("name", ["resnet20", "plain20", "resnet20_b"])
def test_recomputing_leaves_gradients_and_statistics_alone(name):
    torch.manual_seed(0)
    usual = build(networks.entry(name).spec)
    saving = copy.deepcopy(usual)
    saving.set_grad_checkpointing()
    for _ in range(2):
        images, labels = torch.randn(4, 3, 16, 16), torch.randint(0, 10, (4,))
        expected_gradients, expected_buffers = step(usual, images, labels)
        gradients, buffers = step(saving, images, labels)
        assert all(torch.equal(gradients[k], v) for k, v in expected_gradients.items())
        assert all(torch.equal(buffers[k], v) for k, v in expected_buffers.items())
    assert buffers["stages.stage1.block1.branch.norm1.num_batches_tracked"] == 2


def kept_for_backward(network, images):
    """Count the values that autograd keeps between the passes."""
    own = {p.data_ptr() for p in network.parameters()}
    kept = {}

    def pack(tensor):
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(images).sum().backward()
    return sum(kept.values())


def test_recomputing_keeps_less():
    network = build(networks.entry("resnet20").spec)
    images = torch.randn(2, 3, 32, 32)
    usual = kept_for_backward(network, images)
    network.set_grad_checkpointing()
    saving = kept_for_backward(network, images)
    network.set_grad_checkpointing(enable=False)
    assert saving < usual / 2
    assert kept_for_backward(network, images) == usual


@pytest.mark.parametrize(("depth", "length"), [(1, 1), (3, 1), (18, 2), (36, 3), (200, 7)])
def test_segments_hold_every_block_in_order(depth, length):
    stage = Stage(*(torch.nn.Identity() for _ in range(depth)))
    segments = stage.segments()
    assert [block for segment in segments for block in segment] == list(stage)
    assert {len(segment) for segment in segments[:-1]} <= {length}
    assert 1 <= len(segments[-1]) <= length


def test_recomputing_with_frozen_parts():
    torch.manual_seed(0)
    network = build(networks.entry("resnet20").spec)
    network.freeze(2)
    network.set_grad_checkpointing()
    network.train()
    network(torch.randn(2, 3, 16, 16)).sum().backward()
    assert network.stages.stage1.block1.branch.conv1.weight.grad is None
    assert network.stages.stage2.block1.branch.conv1.weight.grad is not None


def test_recomputing_under_autocast():
    torch.manual_seed(0)
    network = build(networks.entry("resnet20").spec)
    network.set_grad_checkpointing()
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(torch.randn(2, 3, 16, 16)).float().sum()
    loss.backward()
    assert network.stem.conv.weight.grad.isfinite().all()


@pytest.mark.slow
def test_recomputing_in_a_compiled_network():
    torch.manual_seed(0)
    usual = build(networks.entry("resnet20").spec)
    saving = copy.deepcopy(usual)
    saving.set_grad_checkpointing()
    compiled = torch.compile(saving, backend="aot_eager", fullgraph=True)
    images = torch.randn(4, 3, 16, 16)
    usual(images).square().sum().backward()
    compiled(images).square().sum().backward()
    for expected, found in zip(usual.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)
    for expected, found in zip(usual.buffers(), saving.buffers(), strict=True):
        torch.testing.assert_close(found, expected)
