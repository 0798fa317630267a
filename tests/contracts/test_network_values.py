"""Promises about values: gradients, layouts, precision, weights that come back."""

import dataclasses

import pytest
import torch
from built import DEEP, batch, small_size
from safetensors.torch import load_file, save_file

from families import EVERY, slow_unless
from reslab import networks
from reslab.networks.fused import fuse
from reslab.networks.network import build

MANY_PARAMS = 1e7


def built(name, most_blocks=None):
    """Build a network; one of many parameters in its form for small images and ten classes.

    Inception networks repeat their modules twice, not up to twenty times.

    With `most_blocks` the stages of deep networks repeat their block only so often. At their
    initial weights 110 layers magnify a rounding to the size of the values themselves, and 1000
    without batch statistics overflow: two ways of computing the same can't be compared there.
    """
    spec = networks.entry(name).spec
    if networks.info(name).params > MANY_PARAMS:
        spec = networks.replace(spec.with_stem("small"), num_classes=10, img_size=32)
        if spec.kind == "inception":  # up to 20 modules of a kind, one after the other
            spec = networks.replace(spec, depths=(2, 2, 2))
    if most_blocks is not None and name in DEEP:
        stages = tuple(
            dataclasses.replace(stage, depth=min(stage.depth, most_blocks)) for stage in spec.stages
        )
        spec = networks.replace(spec, stages=stages)
    torch.manual_seed(0)
    return build(spec)


def settled(network):
    """Give batch norms the statistics of a batch; without, 1000 layers overflow in evaluation."""
    images = batch(network.spec, small_size(network))
    momenta = {}
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            momenta[module], module.momentum = module.momentum, 1.0
    with torch.no_grad():
        network.train()(images)
    for module, momentum in momenta.items():
        module.momentum = momentum
    return network.eval()


def without_dropout(network):
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return network


@pytest.mark.parametrize("name", EVERY)
def test_every_parameter_gets_a_gradient(name):
    """In float64: 1200 layers without shortcuts leave the range of float32 at their start."""
    network = without_dropout(built(name)).double()
    size = max(small_size(network), 3 * network.min_size if network.min_size < 32 else 0)
    logits = network.training_logits(batch(network.spec, size).double())
    labels = torch.tensor([1, 2])
    sum(torch.nn.functional.cross_entropy(x, labels) for x in logits).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize("name", EVERY)
def test_the_memory_layout_does_not_matter(name):
    """In float64: deep plain networks magnify every rounding at their start."""
    network = without_dropout(built(name, most_blocks=18))
    images = batch(network.spec, small_size(network))
    with torch.no_grad():
        exact = network.double()(images.double())
        nhwc = network.to(memory_format=torch.channels_last)
        again = nhwc(images.double().to(memory_format=torch.channels_last))
    torch.testing.assert_close(again, exact)


@pytest.mark.parametrize("name", EVERY)
def test_bfloat16_comes_close(name):
    """In evaluation mode: statistics of a batch of two would magnify every rounding."""
    network = built(name, most_blocks=4).eval()
    images = batch(network.spec, small_size(network))
    with torch.no_grad():
        logits = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(images).float()
    assert (rough - logits).norm() < 0.1 * logits.norm()


@pytest.mark.parametrize("name", EVERY)
def test_saved_weights_give_the_same_network(name, tmp_path):
    """With the batch's statistics, which keep the values of any depth finite."""
    first, second = (without_dropout(built(name)) for _ in range(2))
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.zero_()
    tensors = {k: v.contiguous() for k, v in first.state_dict().items()}
    save_file(tensors, tmp_path / "weights.safetensors")
    second.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    images = batch(first.spec, small_size(first))
    with torch.no_grad():
        logits = first(images)
        assert logits.isfinite().all()
        assert torch.equal(logits, second(images))


@pytest.mark.parametrize("name", EVERY)
def test_recomputed_activations_give_the_same_gradients(name):
    images, found = None, []
    for recompute in (False, True):
        network = without_dropout(built(name)).double()
        network.set_grad_checkpointing(recompute)
        if images is None:
            images = batch(network.spec, small_size(network)).double()
        network(images).square().sum().backward()
        found.append((network, [p.grad for p in network.parameters()]))
    (plain, wanted), (recomputed, got) = found
    for a, b in zip(got, wanted, strict=True):
        assert (a is None) == (b is None)  # auxiliary heads have none
        if a is not None:
            torch.testing.assert_close(a, b)
    for a, b in zip(recomputed.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", EVERY)
def test_fused_passes_are_the_same_function(name):
    network, fused = (without_dropout(built(name, most_blocks=4)) for _ in range(2))
    assert fuse(fused) == sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    images = batch(network.spec, small_size(network))
    images = images.contiguous(memory_format=torch.channels_last)
    assert list(network.state_dict()) == list(fused.state_dict())
    with torch.no_grad():
        trained, ours = network(images), fused(images)
        assert (ours - trained).norm() < 0.02 * trained.norm() + 1e-5
        evaluated, ours = network.eval()(images), fused.eval()(images)
        assert (ours - evaluated).norm() < 0.02 * evaluated.norm() + 1e-5


@pytest.mark.parametrize("name", EVERY)
def test_auxiliary_heads_never_change_the_logits(name):
    network = settled(without_dropout(built(name)))
    images = batch(network.spec, small_size(network))
    with torch.no_grad():
        alone = network(images)
        assert alone.isfinite().all()
        assert torch.equal(network.training_logits(images)[0], alone)
        for parameter in network.auxiliary.parameters():
            parameter.fill_(7.0)
        assert torch.equal(network(images), alone)


@pytest.mark.parametrize("name", slow_unless({"resnet20"}))
def test_captured_by_export_and_by_compile(name):
    """One graph without a break; what code is generated from it is torch's affair."""
    network = settled(built(name))
    images = batch(network.spec, small_size(network))
    with torch.no_grad():
        wanted = network(images)
        assert wanted.isfinite().all()
        exported = torch.export.export(network, (images,), strict=False).module()(images)
        torch.testing.assert_close(exported, wanted)
        torch.compiler.reset()
        compiled = torch.compile(network, backend="eager", fullgraph=True)(images)
        torch.testing.assert_close(compiled, wanted)
