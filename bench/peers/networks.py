"""The peers' networks, by the library that has them."""

from __future__ import annotations

from torch import nn

from bench.peers.operators import declare


def make(library: str, name: str, num_classes: int) -> nn.Module:
    """Build a network of akamaster, torchvision or timm."""
    if library == "akamaster":
        from bench.peers.akamaster import ResNet

        return ResNet(int(name.removeprefix("resnet")), num_classes)
    declare()
    if library == "timm":
        import timm

        return timm.create_model(name, num_classes=num_classes)
    from torchvision import models

    return models.get_model(name, weights=None, num_classes=num_classes)
