"""The tutorial's own call, and the recipe that decays as its L2 factor does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reslab import networks
from reslab.data.augment import Augment
from reslab.errors import UsageError
from reslab.training.optimizer import make_optimizer
from reslab.training.recipes import RECIPES, Situation
from reslab.tutorial import ResNet


def test_the_tutorials_own_call():
    with torch.device("meta"):
        network = ResNet.build(64, 64, 3, 10, (9, 9, 9), (64, 64, 128, 256), reg=0.0005)
    assert network.spec == networks.replace(networks.entry("keras_preact_9_9_9").spec, reg=0.0005)
    assert network.spec.weight_decay == 0.001
    with torch.device("meta"):
        network = ResNet.build(64, 64, 3, 10, [3, 4, 6], [64, 128, 256, 512])
    assert network.spec == networks.entry("keras_preact_3_4_6").spec
    with torch.device("meta"):
        network = ResNet.build(128, 128, 1, 7, (1, 1, 1), (8, 8, 8, 16), bn_eps=1e-3, bn_mom=0.99)
        assert network(torch.empty(2, 1, 128, 128)).shape == (2, 7)
    assert network.get_classifier().weight.shape == (7, 2 * 2 * 16)
    assert (network.spec.bn_eps, network.spec.bn_mom) == (1e-3, 0.99)


def test_the_tutorials_call_is_checked():
    with pytest.raises(UsageError, match="leave a map of 4x4; take images of 64x64"):
        ResNet.build(32, 32, 3, 10, (9, 9, 9), (64, 64, 128, 256))
    with pytest.raises(UsageError, match="the same, received 64 and 32"):
        ResNet.build(64, 32, 3, 10, (9, 9, 9), (64, 64, 128, 256))
    with pytest.raises(UsageError, match="3 stages need 4 numbers of filters"):
        ResNet.build(64, 64, 3, 10, (9, 9, 9), (64, 128, 256))


def test_the_recipe_decays_by_twice_reg_and_spares_norms_and_biases():
    """One step of SGD without data: w <- w - rate * d(reg * sum of squares)/dw."""
    recipe = RECIPES["keras-tutorial"](Situation(50_000, 32, 10))
    torch.manual_seed(0)
    network = ResNet.build(64, 64, 3, 5, (2, 1, 2), (8, 8, 16, 32))
    assert recipe.weight_decay == network.spec.weight_decay == 2 * network.spec.reg
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    regularised = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    penalty = sum(network.spec.reg * module.weight.square().sum() for module in regularised)
    penalty.backward()
    gradients = {name: value.grad for name, value in network.named_parameters()}
    for value in network.parameters():
        value.grad = torch.zeros_like(value)
    make_optimizer(network, recipe).step()
    for name, value in network.named_parameters():
        gradient = gradients[name]
        expected = before[name] if gradient is None else before[name] - recipe.lr * gradient
        torch.testing.assert_close(value.detach(), expected)
    assert sum(gradient is not None for gradient in gradients.values()) == len(regularised)


def test_the_recipe_is_that_of_the_tutorials_users():
    recipe = RECIPES["keras-tutorial"](Situation(50_000, 32, 10))
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (100, 128, 0.1)
    assert (recipe.optimizer, recipe.momentum, recipe.nesterov) == ("sgd", 0.9, False)
    assert (recipe.normalization, recipe.val_fraction) == ("pixel-mean", 0)
    assert recipe.augment == Augment(pad_crop=3, flip=True)
