"""SGD and AdamW against loops written from their papers; state that survives bit for bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from reslab.errors import CheckpointError
from reslab.training.optimizer import (
    FACTOR,
    load_state_tensors,
    make_optimizer,
    renormalize_filters,
    state_tensors,
)
from reslab.training.recipe import Recipe

RATES = (0.1, 0.05, 0.2, 0.2)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4)
    ).double()


def gradients(net: nn.Module, count: int = len(RATES)) -> list[list[Tensor]]:
    random = torch.Generator().manual_seed(7)
    return [
        [torch.randn(p.shape, generator=random, dtype=p.dtype) for p in net.parameters()]
        for _ in range(count)
    ]


def run(net: nn.Module, optimizer: torch.optim.Optimizer, steps: list[list[Tensor]]) -> None:
    for rate, values in zip(RATES, steps, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate * group[FACTOR]
        for parameter, value in zip(net.parameters(), values, strict=True):
            parameter.grad = value.clone()
        optimizer.step()


def decay_of(weight: Tensor, recipe: Recipe) -> float:
    return recipe.weight_decay if weight.ndim > 1 or recipe.decay_all else 0.0


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay_all", [False, True])
def test_sgd_is_its_formula(nesterov, decay_all):
    recipe = Recipe(
        name="x", momentum=0.8, weight_decay=0.03, nesterov=nesterov, decay_all=decay_all
    )
    net = network()
    expected = [p.detach().clone() for p in net.parameters()]
    velocity = [torch.zeros_like(w) for w in expected]
    steps = gradients(net)
    for rate, values in zip(RATES, steps, strict=True):
        for w, v, g in zip(expected, velocity, values, strict=True):
            whole = g + decay_of(w, recipe) * w
            v.mul_(0.8).add_(whole)
            w -= rate * (whole + 0.8 * v if nesterov else v)
    run(net, make_optimizer(net, recipe), steps)
    for found, w in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), w)


@pytest.mark.parametrize("decay_all", [False, True])
def test_adamw_is_its_formula(decay_all):
    recipe = Recipe(
        name="x", optimizer="adamw", momentum=0.8, weight_decay=0.1, decay_all=decay_all
    )
    net = network()
    expected = [p.detach().clone() for p in net.parameters()]
    first = [torch.zeros_like(w) for w in expected]
    second = [torch.zeros_like(w) for w in expected]
    steps = gradients(net)
    for number, (rate, values) in enumerate(zip(RATES, steps, strict=True), start=1):
        for w, m, v, g in zip(expected, first, second, values, strict=True):
            w -= rate * decay_of(w, recipe) * w
            m.copy_(0.8 * m + 0.2 * g)
            v.copy_(0.999 * v + 0.001 * g * g)
            w -= rate * (m / (1 - 0.8**number)) / ((v / (1 - 0.999**number)).sqrt() + 1e-8)
    run(net, make_optimizer(net, recipe), steps)
    for found, w in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), w)


def test_filters_are_scaled_back_to_the_limit():
    net = network()
    torch.manual_seed(1)
    frozen = nn.Conv2d(3, 3, 3).double().requires_grad_(False)
    net.append(frozen)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    filters = [f.flatten().tolist() for f in before["0.weight"]]
    sizes = [(sum(w * w for w in f) / len(f)) ** 0.5 for f in filters]
    limit = sorted(sizes)[1]
    renormalize_filters(net, limit)
    for found, old, size in zip(net[0].weight.detach(), before["0.weight"], sizes, strict=True):
        if size > limit:
            torch.testing.assert_close(found, old * limit / size)
        else:
            assert torch.equal(found, old)
    for name in before.keys() - {"0.weight"}:
        assert torch.equal(net.state_dict()[name], before[name]), name


def test_frozen_parameters_have_no_group():
    net = network()
    frozen = next(net.parameters()).requires_grad_(False)
    optimizer = make_optimizer(net, Recipe(name="x"))
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in net.parameters() if p is not frozen}


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_state_survives_bit_for_bit(name):
    recipe = Recipe(name="x", optimizer=name, weight_decay=0.01)
    net = network()
    optimizer = make_optimizer(net, recipe)
    steps = gradients(net)
    run(net, optimizer, steps[:3])
    saved = {k: v.clone() for k, v in state_tensors(optimizer, net).items()}
    assert len(saved) >= len(list(net.parameters()))

    other = copy.deepcopy(net)
    again = make_optimizer(other, recipe)
    load_state_tensors(again, other, saved)
    restored = state_tensors(again, other)
    assert sorted(restored) == sorted(saved)
    assert all(torch.equal(restored[key], saved[key]) for key in saved)
    run(net, optimizer, steps[3:])
    run(other, again, steps[3:])
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    without = copy.deepcopy(net)
    run(without, make_optimizer(without, recipe), steps[3:])
    run(other, again, steps[3:])
    assert not all(
        torch.equal(a, b) for a, b in zip(without.parameters(), other.parameters(), strict=True)
    )


def test_a_state_of_another_network_is_refused_by_name():
    net = network()
    with pytest.raises(CheckpointError, match="'layer9"):
        load_state_tensors(
            make_optimizer(net, Recipe(name="x")),
            net,
            {"layer9.weight/momentum_buffer": torch.zeros(1)},
        )


def test_a_first_update_that_a_loss_scaler_leaves_out_spoils_nothing():
    recipe, net = Recipe(name="x", momentum=0.9), network().float()
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = make_optimizer(net, recipe, torch.float16)
    scaler = torch.amp.GradScaler("cpu")
    for value in (torch.inf, 0.0):
        optimizer.zero_grad()
        loss = sum((p * value).sum() for p in net.parameters())
        scaler.scale(loss).backward()  # type: ignore[union-attr]
        scaler.step(optimizer)
        scaler.update()
    for parameter, start in zip(net.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), start, rtol=1e-3, atol=1e-6)
