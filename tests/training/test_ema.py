"""The running average against its formula, and its place in the network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reslab.training.ema import Ema


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def change(net: nn.Module, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=random))
            else:
                value.fill_(seed)


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_the_average_is_its_formula_with_the_warm_up(decay):
    net = network()
    ema = Ema(net, decay)
    expected = {k: v.double().clone() for k, v in net.state_dict().items()}
    for step in range(1, 30):
        change(net, step)
        ema.update(step)
        now = min(decay, (1 + step) / (10 + step))
        for key, value in net.state_dict().items():
            if value.is_floating_point():
                expected[key] = now * expected[key] + (1 - now) * value.double()
            else:
                expected[key] = value.double()
    assert set(ema.tensors()) == set(net.state_dict())
    for key, value in ema.tensors().items():
        torch.testing.assert_close(value.double(), expected[key], rtol=1e-5, atol=1e-6)
    assert int(ema.tensors()["1.num_batches_tracked"]) == 29


@pytest.mark.parametrize("fails", [False, True])
def test_the_weights_come_back_bit_for_bit(fails):
    net = network()
    ema = Ema(net, 0.9)
    change(net, 5)
    ema.update(1)
    kept = {k: v.clone() for k, v in net.state_dict().items()}
    average = {k: v.clone() for k, v in ema.tensors().items()}

    def use() -> None:
        with ema.in_place():
            assert all(torch.equal(v, average[k]) for k, v in net.state_dict().items())
            if fails:
                raise RuntimeError("evaluation failed")

    if fails:
        with pytest.raises(RuntimeError, match="evaluation failed"):
            use()
    else:
        use()
    assert all(torch.equal(v, kept[k]) for k, v in net.state_dict().items())
    assert all(torch.equal(v, average[k]) for k, v in ema.tensors().items())
    assert not all(torch.equal(kept[k], average[k]) for k in kept)


def test_an_average_survives_bit_for_bit():
    net = network()
    ema = Ema(net, 0.9)
    change(net, 3)
    ema.update(1)
    saved = {k: v.clone() for k, v in ema.tensors().items()}
    other = Ema(network(), 0.9)
    other.load(saved)
    assert all(torch.equal(v, saved[k]) for k, v in other.tensors().items())
