"""Small networks with statistics, scales and shifts of their own, and images for them."""

import functools

import torch
from torch import nn

from reslab.models import named_spec
from reslab.networks.network import Network, build

SIDE = 8


def awake(name: str, seed: int = 0, **changes: int) -> Network:
    """Build a network of the catalogue for 8x8 images whose batch norms are not the identity."""
    torch.manual_seed(seed)
    network = build(named_spec(name, num_classes=5, **changes))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
        side = max(SIDE, network.min_size)
        network.train()(images(24, network.spec.in_chans, side))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.add_(torch.randn_like(module.running_mean) * 0.1)
    return network.eval()


@functools.cache
def images(count: int, in_chans: int = 3, side: int = SIDE) -> torch.Tensor:
    return torch.randn(count, in_chans, side, side, generator=torch.Generator().manual_seed(1))


@functools.cache
def labels(count: int) -> torch.Tensor:
    return torch.randint(5, (count,), generator=torch.Generator().manual_seed(2))


def fingerprint(network: Network) -> dict[str, torch.Tensor]:
    """Everything that a measurement must leave as it is, as copies."""
    x = images(3, network.spec.in_chans, max(SIDE, network.min_size))
    with torch.no_grad():
        logits = network(x)
    gradients = {
        f"grad.{k}": p.grad.clone() for k, p in network.named_parameters() if p.grad is not None
    }
    return {"logits": logits, **{k: v.clone() for k, v in network.state_dict().items()}} | gradients


def assert_untouched(network: Network, before: dict[str, torch.Tensor]) -> None:
    after = fingerprint(network)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not network.training
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
