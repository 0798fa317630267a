"""What a network says of images that are too small, and that what it proposes works."""

from __future__ import annotations

import re

import pytest
import torch

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.network import build

NAMES = (
    "googlenet", "highway10", "resnet18", "resnet50",
    "resnet20", "mobilenet_v1", "squeezenet1_1", "airbench94_relu",
)  # fmt: skip


@pytest.mark.parametrize("side", [1, 3, 24])
@pytest.mark.parametrize("name", NAMES)
def test_the_flags_that_are_named_work(name: str, side: int) -> None:
    spec = networks.replace(networks.entry(name).spec, img_size=side)
    with torch.device("meta"):
        try:
            build(spec)
        except UsageError as error:
            message, remedy = error.message, error.remedy
        else:
            return  # the network takes such images
        assert f"received {side}x{side}" in message
        (size,) = re.findall(r"--img-size (\d+)", remedy)
        enlarged = networks.replace(spec, img_size=int(size))
        assert build(enlarged)(torch.empty(2, spec.in_chans, int(size), int(size))).ndim == 2
        if "--stem small" in remedy:
            small = build(spec.with_stem("small"))
            assert small(torch.empty(2, spec.in_chans, side, side)).ndim == 2
    if (name, side) in (("resnet18", 24), ("mobilenet_v1", 24)):
        assert "--stem small" in remedy
