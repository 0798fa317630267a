"""Other people's networks, with weights that no part of a network can hide behind."""

from __future__ import annotations

import contextlib
import importlib
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

LIBRARIES: list[Any] = []  # an operator is declared as long as its library is kept
COMPARED: dict[str, set[str]] = {}


def peer(name: str) -> ModuleType:
    """Import torchvision, timm or another peer; skip the test where that cannot be done."""
    if name.partition(".")[0] in ("torchvision", "timm", "transformers"):
        _declare_operators()
    try:
        return importlib.import_module(name)
    except Exception as error:  # a broken installation raises what it likes
        pytest.skip(
            f"{name} cannot be imported ({type(error).__name__}: {error}); "
            "make test-all installs it"
        )


def _declare_operators() -> None:
    """Declare the operators that torchvision's Python code expects and this torch may lack."""
    if LIBRARIES:
        return
    library = torch.library.Library("torchvision", "DEF")
    LIBRARIES.append(library)
    for operator in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):  # torchvision has its own
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def compared(program: str, network: str) -> None:
    """Note that a network gave the same logits; the end of the test run prints how many."""
    COMPARED.setdefault(program, set()).add(network)


def shake(network: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every weight, bias and statistic anew, so that each one counts; evaluation mode."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=draw)
                if module.bias is not None:
                    module.bias.normal_(0, 0.1, generator=draw)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=draw)
                module.bias.normal_(0, 0.2, generator=draw)
                module.running_mean.normal_(0, 0.2, generator=draw)
                module.running_var.uniform_(0.5, 2, generator=draw)
                module.num_batches_tracked.fill_(7)
    return network.eval()


def assert_same_logits(theirs: nn.Module, ours: nn.Module, images: torch.Tensor) -> None:
    """Compare logits: at most 1e-5 of the largest one apart, and different for each image."""
    with torch.no_grad():
        expected, found = theirs(images), ours(images)
    largest = expected.abs().max()
    assert torch.isfinite(largest)
    assert (expected[0] - expected[1]).abs().max() > 1e-3 * largest, "the images do not matter"
    difference = (expected - found).abs().max()
    assert difference <= 1e-5 * largest, f"{difference} of {largest}"
