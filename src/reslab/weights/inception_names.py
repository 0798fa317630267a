"""Other people's names for the layers of networks with branches: GoogLeNet and its descendants."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from reslab.networks.inception import InceptionSpec
from reslab.networks.inception_blocks import Concat
from reslab.networks.network import Network
from reslab.weights.layout import each_module


def _torchvision_googlenet(name: str) -> str:
    name = name.replace(".norm", ".bn")
    match name.split("."):
        case ["stem", layer]:
            return f"conv1.{layer}"
        case ["stages", "stage1", conv, layer]:  # conv1 and conv2 behind the stem's
            return f"conv{int(conv[-1]) + 1}.{layer}"
        case ["stages", _, module, "branches", branch, conv, layer]:
            number = int(branch) + 1
            place = {1: "", 4: ".1"}.get(number, f".{int(conv[-1]) - 1}")
            return f"{module}.branch{number}{place}.{layer}"
        case ["auxiliary", number, "head", *rest]:
            inner = {"features.fc": "fc1", "classifier": "fc2"}.get(".".join(rest))
            return f"aux{int(number) + 1}.{inner or f'conv.{rest[-1]}'}"
        case ["head", "classifier"]:
            return "fc"
    raise AssertionError(name)


torchvision_googlenet = each_module(_torchvision_googlenet)


def timm_inception(network: Network) -> dict[str, str]:
    """Name layers as timm's networks of 2016 do."""
    spec = network.spec
    assert isinstance(spec, InceptionSpec)
    return _timm_v4(network) if spec.variant == "v4" else _timm_resnet_v2(network)


def _timm_v4(network: Network) -> dict[str, str]:
    """Name layers as timm's `inception_v4`: the parts are numbered, branches have names."""
    names = {"head.classifier": "last_linear"}
    number = 0
    for part, module in network.parts().items():
        prefix = part if part == "stem" else f"stages.{part}"
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                continue
            for ours, theirs in _convolutions(child):
                names |= _with_norm(f"{prefix}.{name}{ours}", f"features.{number}{theirs}")
            number += 1
    return names


# Of timm's inception_resnet_v2, what is neither a block nor inside one.
_SINGLE = {
    "stem.conv1": "conv2d_1a",
    "stem.conv2": "conv2d_2a",
    "stem.conv3": "conv2d_2b",
    "stages.stage1.conv1": "conv2d_3b",
    "stages.stage1.conv2": "conv2d_4a",
    "stages.stage2.fork1": "mixed_5b",
    "stages.stage3.fork1": "mixed_6a",
    "stages.stage4.fork1": "mixed_7a",
}
_REPEATS = {"stage2": "repeat", "stage3": "repeat_1", "stage4": "repeat_2"}


def _timm_resnet_v2(network: Network) -> dict[str, str]:
    """Name layers as timm's `inception_resnet_v2`."""
    names = {"head.classifier": "classif"}
    for ours, theirs in _SINGLE.items():
        for inner, place in _convolutions(network.get_submodule(ours)):
            names |= _with_norm(f"{ours}{inner}", f"{theirs}{place}")
    for stage, repeat in _REPEATS.items():
        blocks = [
            name
            for name, _ in network.get_submodule(f"stages.{stage}").named_children()
            if re.fullmatch(r"block\d+", name)
        ]
        last = ["block8", "conv2d_7b"] if stage == "stage4" else []
        places = [f"{repeat}.{number}" for number in range(len(blocks) - len(last))] + last
        for name, place in zip(blocks, places, strict=True):
            names |= _residual(network, f"stages.{stage}.{name}", place)
    return names


def _residual(network: Network, ours: str, theirs: str) -> dict[str, str]:
    """Name a residual block, or the one convolution that follows the last of them."""
    if theirs == "conv2d_7b":
        return _with_norm(ours, theirs)
    names = {f"{ours}.branch.expand": f"{theirs}.conv2d"}
    branches = f"{ours}.branch.inception"
    for inner, place in _convolutions(network.get_submodule(branches)):
        names |= _with_norm(f"{branches}{inner}", f"{theirs}{place}")
    return names


def _with_norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.conv": f"{theirs}.conv", f"{ours}.norm": f"{theirs}.bn"}


def _convolutions(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield what our and timm's names append for each convolution in a part of the network.

    A branch of one convolution is ``branch0``, of several ``branch1.2``, and ``branch1_2a``
    where it forks again; where only one branch has any, it is called ``conv``.
    """
    if not isinstance(module, Concat):
        yield "", ""
        return
    branches = [list(branch.named_children()) for branch in module.branches]
    alone = sum(any(not _is_pool(child) for _, child in layers) for layers in branches) == 1
    for number, layers in enumerate(branches):
        forks = any(isinstance(child, Concat) for _, child in layers)
        for place, (name, child) in enumerate(layers):
            ours = f".branches.{number}.{name}"
            if isinstance(child, Concat):
                for letter, (inner, _) in zip("ab", _convolutions(child), strict=True):
                    yield f"{ours}{inner}", f".branch{number}_{place}{letter}"
            elif alone and not _is_pool(child):
                yield ours, ".conv"
            elif not _is_pool(child):
                separator = "_" if forks else "."
                index = "" if len(layers) == 1 else f"{separator}{place}"
                yield ours, f".branch{number}{index}"


def _is_pool(module: nn.Module) -> bool:
    return isinstance(module, nn.MaxPool2d | nn.AvgPool2d)
