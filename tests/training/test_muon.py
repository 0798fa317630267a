"""Muon against loops and singular values; its state survives like that of the others."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from reslab import create_model
from reslab.training.muon import Muon, orthogonalized
from reslab.training.optimizer import (
    FACTOR,
    load_state_tensors,
    make_optimizer,
    state_tensors,
)
from reslab.training.recipe import Recipe


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24), (8, 200)])
def test_directions_stay_and_lengths_become_alike(shape):
    torch.manual_seed(1)
    matrix = torch.randn(shape) @ torch.diag(torch.linspace(0.3, 3, shape[1]))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalized(matrix, torch.float32)
    lengths = (u.T @ found @ v.T).diagonal()
    torch.testing.assert_close(u @ lengths.diag() @ v, found, atol=1e-4, rtol=1e-4)
    strong = s > 0.05 * s[0]
    assert strong.sum() > len(s) / 2
    assert ((lengths[strong] > 0.3) & (lengths[strong] < 1.3)).all()
    torch.testing.assert_close(orthogonalized(5 * matrix, torch.float32), found)


def test_half_precision_comes_close():
    torch.manual_seed(2)
    matrix = torch.randn(32, 90)
    exact = orthogonalized(matrix, torch.float32)
    rough = orthogonalized(matrix, torch.bfloat16).float()
    assert (rough - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("scale", [1e5, 1e-3])
def test_half_precision_takes_gradients_of_any_length(scale):
    torch.manual_seed(2)
    matrix = torch.randn(32, 90)
    exact = orthogonalized(matrix, torch.float32)
    rough = orthogonalized(scale * matrix, torch.float16).float()
    assert (rough - exact).norm() < 0.05 * exact.norm()


def test_a_gradient_of_zeros_moves_nothing():
    assert not orthogonalized(torch.zeros(4, 9), torch.float32).any()


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 30, 3, bias=False), nn.BatchNorm2d(30), nn.Flatten(), nn.Linear(30, 4)
    ).double()


@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_its_formula(nesterov, decay_all):
    recipe = Recipe(
        name="x",
        optimizer="muon",
        lr=1.0,
        momentum=0.7,
        weight_decay=0.1,
        nesterov=nesterov,
        bias_lr=3.0,
        decay_all=decay_all,
    )
    net = network()
    optimizer = make_optimizer(net, recipe, torch.float64)
    expected = [p.detach().clone() for p in net.parameters()]
    velocity = [torch.zeros_like(w) for w in expected]
    random = torch.Generator().manual_seed(4)
    for rate in (0.1, 0.02, 0.3):
        for group in optimizer.param_groups:
            group["lr"] = rate * group[FACTOR]
        for p, w, v in zip(net.parameters(), expected, velocity, strict=True):
            g = torch.randn(w.shape, generator=random, dtype=w.dtype)
            p.grad = g.clone()
            if w.ndim == 4:
                v.mul_(0.7).add_(g)
                step = g + 0.7 * v if nesterov else v
                square = orthogonalized(step.reshape(30, 18), torch.float64).reshape(w.shape)
                w.mul_(1 - rate * 0.1).sub_(rate * (30 / 18) ** 0.5 * square)
                continue
            decay = 0.1 if decay_all else 0.0
            whole = g + decay * w
            v.mul_(0.7).add_(whole)
            w -= rate * (1 if w.ndim > 1 else 3) * (whole + 0.7 * v if nesterov else v)
        optimizer.step()
    for p, w in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), w)


@pytest.mark.parametrize("name", ["resnet20", "squeezenet1_1", "airbench94"])
def test_convolutions_but_the_classifiers_own_are_orthogonal(name):
    net = create_model(name, num_classes=3)
    optimizer = make_optimizer(net, Recipe(name="x", optimizer="muon", lr=0.1, head_lr=4.0))
    assert isinstance(optimizer, Muon)
    own = set(net.get_classifier().parameters())
    seen = set()
    for group in optimizer.param_groups:
        for p in group["params"]:
            seen.add(p)
            assert group["orthogonal"] == (p.ndim == 4 and p not in own)
            assert group["lr_factor"] == (4.0 if p in own else 1.0)
    assert seen == set(net.parameters())


def test_the_memory_layout_does_not_matter():
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        net = network().to(memory_format=layout)
        optimizer = make_optimizer(net, Recipe(name="x", optimizer="muon"), torch.float64)
        random = torch.Generator().manual_seed(4)
        for p in net.parameters():
            p.grad = torch.empty_like(p).copy_(torch.randn(p.shape, generator=random))
        optimizer.step()
        found.append([p.detach() for p in net.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b.contiguous())


def test_the_state_survives_bit_for_bit():
    net = network()
    recipe = Recipe(name="x", optimizer="muon", nesterov=True)
    optimizer = make_optimizer(net, recipe)

    def step(net: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        for p in net.parameters():
            p.grad = torch.randn(p.shape, generator=random, dtype=p.dtype)
        optimizer.step()

    step(net, optimizer, 1)
    saved = {k: v.clone() for k, v in state_tensors(optimizer, net).items()}
    assert len(saved) == len(list(net.parameters()))
    other = copy.deepcopy(net)
    again = make_optimizer(other, recipe)
    load_state_tensors(again, other, saved)
    step(net, optimizer, 2)
    step(other, again, 2)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
