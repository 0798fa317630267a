import math

import pytest
import torch
import torch.nn.functional as F
from awake import assert_untouched, awake, fingerprint, images, labels

from reslab.analyze.blocks import residual_blocks
from reslab.analyze.effective_depth import _draws, _rows, effective_depth
from reslab.errors import UsageError


def one_path(network, x, y, branches):
    """|d loss / d image| where block number i passes its gradient to one path alone."""
    image = x.clone().requires_grad_()
    h, number = network.stem(image), 0
    for block in residual_blocks(network).values():
        f, s = block.branch(h), block.shortcut(h)
        total = f + s.detach() if number in branches else f.detach() + s
        h, number = block.act(total), number + 1
    loss = F.cross_entropy(network.head(h), y, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, image)
    return gradient.double().flatten(1).norm(dim=1)


def test_paths_are_those_that_are_drawn():
    network = awake("resnet20")
    before = fingerprint(network)
    found = effective_depth(network, images(5), labels(5), num_paths=5, seed=3, batch_size=7)
    assert [row.length for row in found.lengths] == list(range(10))
    draws = _draws(torch.arange(10).repeat_interleave(5), 9, 3)
    for length in (0, 4, 9):
        norms = []
        for number, taken in enumerate(draws[5 * length : 5 * length + 5]):
            branches = set(taken.nonzero().flatten().tolist())
            assert len(branches) == length
            norms.append(one_path(network, images(5), labels(5), branches)[number].item())
        expected = sum(norms) / 5
        assert found.lengths[length].gradient_norm == pytest.approx(expected, rel=1e-3)
    assert sum(row.gradient_share for row in found.lengths) == pytest.approx(1)
    assert_untouched(network, before)


def test_equal_gradients_leave_the_binomial_distribution():
    rows = _rows([0.5] * 11, 10)
    for row in rows:
        assert row.path_share == pytest.approx(math.comb(10, row.length) / 1024)
        assert row.gradient_share == pytest.approx(row.path_share)


def test_paths_without_gradient_do_not_count():
    network = awake("preact_resnet20")
    with torch.no_grad():
        for block in residual_blocks(network).values():
            block.branch.conv2.weight.zero_()
    found = effective_depth(network, images(2), labels(2), num_paths=2)
    assert found.lengths[0].gradient_share == 1
    assert found.mean == 0
    assert found.central95 == (0, 0)
    assert found.to_json()["central95"] == [0, 0]


def test_networks_without_paths_of_their_own_are_refused():
    with pytest.raises(UsageError, match="no residual blocks"):
        effective_depth(awake("plain20"), images(2), labels(2))
    with pytest.raises(UsageError, match="gates"):
        effective_depth(awake("highway_cnn"), images(2), labels(2))
