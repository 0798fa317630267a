"""Other people's names for the layers of plain and residual networks."""

from __future__ import annotations

import re

from reslab.networks.network import Network
from reslab.weights.layout import Names, each_module, modules_with_tensors


def by_attribute(*, head: str, shortcut: str) -> Names:
    """Name layers as torchvision's class does: conv1, bn1, layer1.0.conv1, ...

    Args:
        head: name of the classifier: torchvision's "fc", or what a descendant calls it.
        shortcut: name of a projection: torchvision's "downsample".
    """

    def rename(name: str) -> str:
        match name.split("."):
            case ["stem", layer]:
                return {"conv": "conv1", "norm": "bn1"}[layer]
            case ["stages", stage, block, "branch", layer]:
                return f"{_block('layer', stage, block)}.{layer.replace('norm', 'bn')}"
            case ["stages", stage, block, "shortcut", layer]:
                return f"{_block('layer', stage, block)}.{shortcut}.{_POSITION[layer]}"
            case ["head", "classifier"]:
                return head
        raise AssertionError(name)

    return each_module(rename)


def in_transformers(network: Network) -> dict[str, str]:
    """Name layers as transformers' ResNetForImageClassification does.

    Source: huggingface/transformers, models/resnet/modeling_resnet.py.
    """

    def rename(name: str) -> str:
        match name.split("."):
            case ["stem", layer]:
                return f"resnet.embedder.embedder.{_WORD[layer]}"
            case ["stages", stage, block, side, layer]:
                kind = _WORD[layer.rstrip("123")]
                place = f"{_number(stage) - 1}.layers.{_number(block) - 1}"
                part = f"layer.{_number(layer) - 1}" if side == "branch" else "shortcut"
                return f"resnet.encoder.stages.{place}.{part}.{kind}"
            case ["head", "classifier"]:
                return "classifier.1"  # behind nn.Flatten
        raise AssertionError(name)

    return {name: rename(name) for name, _ in modules_with_tensors(network)}


def by_position(network: Network) -> dict[str, str]:
    """Name layers by their places in nested containers, as converted Lua networks do.

    fb.resnet.torch builds a network as one Sequential; a block in it is a Sequential of a
    ConcatTable (branch, shortcut), the addition and the ReLU. The converter wraps the
    classifier together with a reshaping.
    """
    stages = [stage for name, stage in network.parts().items() if name != "stem"]
    pooled = any(name == "pool" for name, _ in stages[0].named_children())
    first = 4 if pooled else 3

    def rename(name: str) -> str:
        match name.split("."):
            case ["stem", layer]:
                return str(_POSITION[layer])
            case ["stages", stage, block, side, layer]:
                place = f"{first + _number(stage) - 1}.{_number(block) - 1}.0"
                if side == "shortcut":
                    return f"{place}.1.{_POSITION[layer]}"
                number = 3 * (_number(layer) - 1) + _POSITION[layer.rstrip("123")]
                return f"{place}.0.{number}"
            case ["head", "classifier"]:
                # Behind the stages come the average pool and the reshaping.
                return f"{first + len(stages) + 2}.1"
        raise AssertionError(name)

    return {name: rename(name) for name, _ in modules_with_tensors(network)}


_POSITION = {"conv": 0, "norm": 1}
_WORD = {"conv": "convolution", "norm": "normalization"}


def _number(name: str) -> int:
    """Return the number that a name ends with: stage3 -> 3."""
    found = re.search(r"\d+$", name)
    assert found, name
    return int(found[0])


def _block(prefix: str, stage: str, block: str) -> str:
    return f"{prefix}{_number(stage)}.{_number(block) - 1}"
