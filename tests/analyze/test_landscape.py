import copy
import json

import pytest
import torch
import torch.nn.functional as F
from awake import assert_untouched, awake, fingerprint, images, labels
from torch.func import functional_call

from reslab.analyze.interpolation import linear_path, recompute_statistics
from reslab.analyze.landscape import filter_normalised, loss_surface
from reslab.errors import UsageError
from tolerance import rounding_of


def at_point(network, alpha, beta, seed, statistics):
    """Loss and error at w + alpha d + beta e, computed on the network as it is."""
    generator = torch.Generator().manual_seed(seed)
    weights = dict(network.named_parameters())
    d, e = (filter_normalised(list(weights.values()), generator) for _ in range(2))
    moved = {
        n: w + alpha * x + beta * y for (n, w), x, y in zip(weights.items(), d, e, strict=True)
    }
    other = copy.deepcopy(network).train(statistics == "batch")
    with torch.no_grad():
        logits = functional_call(other, moved, (images(20),))
    wrong = 100 * (logits.argmax(1) != labels(20)).double().mean().item()
    return F.cross_entropy(logits, labels(20)).item(), wrong


@pytest.mark.parametrize("statistics", ["running", "batch"])
@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20"])
def test_the_surface_is_that_of_a_functional_version(name, statistics):
    network = awake(name)
    before = fingerprint(network)
    found = loss_surface(
        network, images(20), labels(20), points=3, extent=0.4, seed=5, statistics=statistics
    )
    assert found.axis == pytest.approx((-0.4, 0, 0.4))
    assert found.complete
    for row, beta in enumerate(found.axis):
        for column, alpha in enumerate(found.axis):
            loss, wrong = at_point(network, alpha, beta, 5, statistics)
            assert found.loss[row][column] == pytest.approx(loss, rel=2e-3)
            assert found.error_pct[row][column] == pytest.approx(wrong, abs=5.1)
    assert found.loss[0][2] != pytest.approx(found.loss[2][0], rel=1e-3)
    assert_untouched(network, before)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["complete"]


def test_directions_have_the_norms_of_the_filters():
    weights = [torch.randn(4, 3, 3, 3) * torch.tensor([1.0, 10, 0, 5]).view(4, 1, 1, 1)]
    weights += [torch.randn(5, 7), torch.randn(4)]
    first, second, third = filter_normalised(weights, torch.Generator().manual_seed(0))
    assert torch.allclose(first.flatten(1).norm(dim=1), weights[0].flatten(1).norm(dim=1))
    assert torch.allclose(second.norm(dim=1), weights[1].norm(dim=1))
    assert not third.any(), "biases and batch norms stay"
    again = filter_normalised(weights, torch.Generator().manual_seed(0))
    assert torch.equal(first, again[0])


def test_a_time_limit_leaves_the_outside_open():
    network = awake("resnet20")
    heard = []
    found = loss_surface(
        network,
        images(4),
        labels(4),
        points=5,
        time_limit_s=0.0,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(1, 25)]
    assert (found.measured, found.complete) == (1, False)
    with torch.no_grad():
        loss = F.cross_entropy(network(images(4)), labels(4)).item()
    assert found.loss[2][2] == pytest.approx(loss, abs=rounding_of(network, loss))
    assert sum(value is not None for row in found.loss for value in row) == 1


@pytest.mark.parametrize("change", [{"points": 4}, {"points": 1}, {"extent": 0.0}])
def test_grids_without_a_centre_are_refused(change):
    with pytest.raises(UsageError, match=next(iter(change))):
        loss_surface(awake("resnet20"), images(2), labels(2), **change)


def loss_of(network):
    with torch.no_grad():
        return F.cross_entropy(network(images(20)), labels(20)).item()


def between(first, second, alpha):
    other, a, b = copy.deepcopy(first), first.state_dict(), second.state_dict()
    mixed = {k: a[k] + alpha * (b[k] - a[k]) if a[k].is_floating_point() else a[k] for k in a}
    other.load_state_dict(mixed)
    return other


def test_the_line_between_two_networks():
    first, second = awake("resnet20", seed=0), awake("resnet20", seed=1)
    kept = fingerprint(first), fingerprint(second)
    found = linear_path(first, second, images(20), labels(20), alphas=(0, 0.3, 1))
    ends = [point.loss for point in found.points]
    for found_loss, network in zip(ends, (first, between(first, second, 0.3), second), strict=True):
        loss = loss_of(network)
        assert found_loss == pytest.approx(loss, abs=rounding_of(network, loss))
    height = ends[1] - 0.7 * ends[0] - 0.3 * ends[2]
    assert found.barrier == pytest.approx(max(0, height))
    assert_untouched(first, kept[0])
    assert_untouched(second, kept[1])


def test_recomputed_statistics_are_those_of_the_images():
    first, second = awake("plain20", seed=0), awake("plain20", seed=1)
    found = linear_path(
        first, second, images(20), labels(20), alphas=(0.5,), statistics="recomputed"
    )
    other = between(first, second, 0.5).train()  # normalises by the batch itself
    assert found.points[0].loss == pytest.approx(loss_of(other), rel=0.05)
    once = copy.deepcopy(first)
    recompute_statistics(once, images(20), 10)
    seen = [first.stem.conv(part).transpose(0, 1).flatten(1) for part in images(20).split(10)]
    mean, var = (
        torch.stack(x).mean(0) for x in ([s.mean(1) for s in seen], [s.var(1) for s in seen])
    )
    assert torch.allclose(once.stem.norm.running_mean, mean, atol=1e-5)
    assert torch.allclose(once.stem.norm.running_var, var, rtol=1e-4)
    assert not once.training
    assert not any(module.training for module in once.modules())
    assert once.stem.norm.momentum == first.stem.norm.momentum


def test_a_line_needs_two_of_a_kind():
    with pytest.raises(UsageError, match="one specification"):
        linear_path(awake("plain20"), awake("resnet20"), images(2), labels(2))
    with pytest.raises(UsageError, match="increase"):
        linear_path(awake("plain20"), awake("plain20"), images(2), labels(2), alphas=(1, 0))
