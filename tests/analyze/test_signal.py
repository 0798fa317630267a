import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from awake import assert_untouched, awake, fingerprint, images, labels
from torch import nn

from reslab.analyze.blocks import residual_blocks, steps_of
from reslab.analyze.dead_units import dead_units
from reslab.analyze.drift import norm_drift
from reslab.analyze.gate_statistics import NUM_BINS, gate_statistics
from reslab.analyze.residuals import residual_ratios
from reslab.analyze.signal import signal_by_depth
from reslab.errors import UsageError
from reslab.networks.blocks import AdditiveBlock, SharedActivationBlock
from reslab.networks.highway import HighwayLayer
from tolerance import assert_same, rounding, rounding_of, terms_of


def rms(x):
    return x.double().square().mean().sqrt().item()


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_signal_is_that_of_bare_autograd(statistics):
    network = awake("resnet20")
    before = fingerprint(network)
    found = signal_by_depth(network, images(12), labels(12), statistics=statistics)
    assert_untouched(network, before)
    other = copy.deepcopy(network).train(statistics == "batch")
    outputs, x = {}, images(12)
    for name, step in steps_of(other).items():
        x = outputs[name] = step(x)
    logits = outputs.pop("head")
    loss = F.cross_entropy(logits, labels(12))
    gradients = torch.autograd.grad(loss, list(outputs.values()), retain_graph=True)
    loss.backward()
    bound = rounding(torch.float32, terms_of(network))
    assert found.loss == pytest.approx(loss.item(), rel=bound)
    assert [step.name for step in found.steps] == list(outputs)
    for step, gradient in zip(found.steps, gradients, strict=True):
        assert step.activation_rms == pytest.approx(rms(outputs[step.name]), rel=1e-4)
        assert step.gradient_norm == pytest.approx(gradient.norm().item(), rel=1e-3)
    assert found.layers[-1].activation_rms == pytest.approx(rms(logits), rel=1e-4)
    for layer in found.layers:
        weight = other.get_submodule(layer.name).weight
        assert layer.weight_norm == pytest.approx(weight.norm().item(), rel=1e-5)
        assert layer.weight_gradient_norm == pytest.approx(weight.grad.norm().item(), rel=1e-3)


def test_parts_of_a_batch_add_up():
    network = awake("plain20")
    whole = signal_by_depth(network, images(10), labels(10))
    parts = signal_by_depth(network, images(10), labels(10), batch_size=3)
    assert parts.loss == pytest.approx(whole.loss, abs=rounding_of(network, whole.loss))
    for one, other in zip(whole.steps + whole.layers, parts.steps + parts.layers, strict=True):
        assert one.activation_rms == pytest.approx(other.activation_rms, rel=1e-4)
    assert parts.gradient_ratio == pytest.approx(whole.gradient_ratio, rel=1e-3)


def test_an_identity_chain_hands_the_gradient_on_and_a_plain_one_does_not():
    chain = awake("preact_resnet20")
    with torch.no_grad():
        for block in residual_blocks(chain).values():
            block.branch.conv2.weight.zero_()
    steps = {s.name: s for s in signal_by_depth(chain, images(6), labels(6)).steps}
    for stage in (1, 2, 3):
        names = [f"stages.stage{stage}.block{block}" for block in (1, 2, 3)]
        first, *others = (steps[name].gradient_norm for name in names)
        assert others == [first, first], "y = x + 0: the gradient is the same to the last bit"
    plain = {s.name: s for s in signal_by_depth(awake("plain20"), images(6), labels(6)).steps}
    norms = [plain[f"stages.stage3.block{block}"].gradient_norm for block in (1, 2, 3)]
    assert len(set(norms)) == 3


@pytest.mark.parametrize(
    "name",
    [
        "resnet20_b",
        "preact_resnet20",
        "resnet20_scaled",
        "resnet20_exclusive_gate",
        "resnet20_shortcut_gate",
        "resnet20_dropout_shortcut",
        "resnet20_bn_after_add",
        "five_block_residual",
        "highway_cnn",
        "inception_resnet_small",
    ],
)
def test_the_two_terms_of_every_kind_of_block_make_its_output(name, monkeypatch):
    """Their sum, with what follows it, is what the block puts out; the ratio is theirs."""
    from reslab.analyze import residuals

    network = awake(name)
    before = fingerprint(network)
    seen = []

    def checked(block, x, *parts):
        branch, shortcut = whole(block, x, *parts)
        total = branch + shortcut
        if hasattr(block, "norm"):
            total = block.norm(total)
        y = block.act(total) if hasattr(block, "act") else total
        assert_same(block, y, block.forward(x))
        seen.append((rms(branch), rms(shortcut)))
        return branch, shortcut

    whole = residuals.terms
    monkeypatch.setattr(residuals, "terms", checked)
    side = max(8, network.min_size)
    found = residual_ratios(network, images(6, network.spec.in_chans, side))
    assert [block.name for block in found.blocks] == list(residual_blocks(network))
    for block, (branch, shortcut) in zip(found.blocks, seen, strict=True):
        assert block.branch_rms == pytest.approx(branch, rel=1e-5)
        assert block.ratio == pytest.approx(branch / shortcut, rel=1e-5)
    kept = {b.name for b in found.blocks if b.keeps_the_input}
    for at, block in residual_blocks(network).items():
        alone = not isinstance(block, SharedActivationBlock | HighwayLayer)
        identity = alone and isinstance(block.shortcut, nn.Identity)
        assert (at in kept) == (identity or isinstance(block, HighwayLayer))
    assert_untouched(network, before)


def test_the_ratio_of_a_hand_made_block():
    network = awake("preact_resnet20")
    block = network.stages.stage1.block2
    assert isinstance(block, AdditiveBlock)
    with torch.no_grad():
        for layer in (block.branch.norm1, block.branch.norm2):
            layer.reset_running_stats()
            layer.weight.fill_(math.sqrt(1 + layer.eps))
            layer.bias.fill_(1000.0)  # both ReLUs hand everything on
        nn.init.dirac_(block.branch.conv1.weight)
        nn.init.dirac_(block.branch.conv2.weight)
        block.branch.conv2.weight.mul_(0.5)
    x = network.stages.stage1.block1(network.stem(images(4)))
    found = residual_ratios(network, images(4)).blocks[1]
    assert found.name == "stages.stage1.block2"
    assert found.shortcut_rms == pytest.approx(rms(x), rel=1e-5)
    assert found.branch_rms == pytest.approx(rms(0.5 * (x + 2000)), rel=1e-5)


def test_a_plain_network_has_no_ratios_and_no_gates():
    network = awake("plain20")
    with pytest.raises(UsageError, match="no residual blocks"):
        residual_ratios(network, images(2))
    with pytest.raises(UsageError, match="no gates"):
        gate_statistics(network, images(2))


def test_dead_units_are_those_that_are_zero_for_every_image():
    network = awake("resnet20")
    with torch.no_grad():
        network.stem.norm.bias[3:5] = -1e6
    before = fingerprint(network)
    found = dead_units(network, images(20), batch_size=6)
    stem = found.activations[0]
    y = network.stem(images(20))
    assert (stem.name, stem.channels) == ("stem.act", 16)
    assert stem.dead == (y.amax((0, 2, 3)) == 0).sum() >= 2
    assert stem.zero_share == pytest.approx((y == 0).double().mean().item())
    assert len(found.activations) == 19
    assert found.channels == 16 + 6 * (16 + 32 + 64)
    assert found.dead == sum(a.dead for a in found.activations) == found.to_json()["dead"]
    assert_untouched(network, before)


def test_drift_is_measured_in_remembered_deviations():
    network = awake("plain20")
    x, norm = images(16), network.stem.norm
    seen = network.stem.conv(x).double().transpose(0, 1).flatten(1)
    with torch.no_grad():
        norm.running_mean.copy_(seen.mean(1))
        norm.running_var.copy_(seen.var(1, correction=0))
        exact = norm_drift(network, x, batch_size=5).norms[0]
        assert exact.name == "stem.norm"
        assert exact.mean_shift == pytest.approx(0, abs=1e-5)
        assert exact.log_variance_ratio == pytest.approx(0, abs=1e-5)
        deviation = (norm.running_var + norm.eps).sqrt()
        norm.running_mean.sub_(2 * deviation)
        norm.running_mean[7] -= deviation[7]
        before = fingerprint(network)
        off = norm_drift(network, x, batch_size=5).norms[0]
    assert off.mean_shift == pytest.approx(math.sqrt((15 * 4 + 9) / 16), rel=1e-5)
    assert off.worst_channel == 7
    with torch.no_grad():
        norm.running_var.mul_(math.e).add_((math.e - 1) * norm.eps)
    wide = norm_drift(network, x).norms[0]
    assert wide.log_variance_ratio == pytest.approx(1, rel=1e-4)
    with torch.no_grad():
        norm.running_var.sub_((math.e - 1) * norm.eps).div_(math.e)
    assert len(before) == len(fingerprint(network))
    with pytest.raises(UsageError, match="no batch norm"):
        norm_drift(awake("plain_cnn10"), x)


@pytest.mark.parametrize("name", ["highway_cnn", "resnet20_exclusive_gate"])
def test_gates_are_as_open_as_their_values_say(name):
    network = awake(name)
    before = fingerprint(network)
    found = gate_statistics(network, images(6), batch_size=4)
    gates = [m for m in network.modules() if hasattr(m, "gate")]
    assert len(found.gates) == len(gates)
    kept = []
    handle = gates[0].gate.register_forward_hook(lambda _m, _x, y: kept.append(y))
    with torch.no_grad():
        network(images(6))
    handle.remove()
    values, first = kept[0].double(), found.gates[0]
    assert first.mean == pytest.approx(values.mean().item(), rel=1e-5)
    assert first.std == pytest.approx(values.std(correction=0).item(), rel=1e-4)
    assert first.by_channel == pytest.approx(values.mean((0, 2, 3)).tolist(), rel=1e-5)
    shares = torch.histc(values, NUM_BINS, 0, 1) / values.numel()
    assert first.histogram == pytest.approx(shares.tolist(), abs=1e-3)
    assert_untouched(network, before)


def test_everything_is_plain_json():
    import json

    network, gated = awake("resnet20"), awake("highway_cnn")
    x, y = images(4), labels(4)
    for found in (
        signal_by_depth(network, x, y),
        residual_ratios(network, x),
        dead_units(network, x),
        norm_drift(network, x),
        gate_statistics(gated, x),
    ):
        value = found.to_json()
        assert json.loads(json.dumps(value, allow_nan=False))["network"] in (
            "resnet20",
            "highway_cnn",
        )


def test_steps_are_the_network():
    for name, a in itertools.product(["resnet20", "highway_cnn", "five_block_plain"], [images(2)]):
        network = awake(name)
        x = a
        for step in steps_of(network).values():
            x = step(x)
        assert torch.equal(x, network(a))
