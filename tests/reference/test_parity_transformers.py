"""Every ResNet of Hugging Face's transformers computes what ours does, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peers import assert_same_logits, compared, peer, shake
from torch import nn

from reslab.weights import LAYOUTS, export_file
from reslab.weights.importing import Request, import_file

pytestmark = pytest.mark.slow
CLASSES = 11
BASIC = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]}
DEPTHS = {"18": [2, 2, 2, 2], "34": [3, 4, 6, 3], "50": [3, 4, 6, 3]} | {
    "101": [3, 4, 23, 3],
    "152": [3, 8, 36, 3],
}


def description(ours: str) -> dict[str, Any]:
    """Return the arguments of transformers' configuration for a network of ours."""
    depth, _, later = ours.removeprefix("resnet").partition("_")
    if depth in ("18", "34"):
        return {"depths": DEPTHS[depth], **BASIC}
    return {"depths": DEPTHS[depth], "downsample_in_bottleneck": later != "v15"}


class Logits(nn.Module):
    """A network of transformers that returns a tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize("ours", LAYOUTS["transformers"].networks)
def test_the_same_logits_after_import_and_after_export(tmp_path: Path, ours: str) -> None:
    resnet = peer("transformers.models.resnet")
    theirs = resnet.ResNetForImageClassification(
        resnet.ResNetConfig(num_labels=CLASSES, **description(ours))
    )
    shake(theirs).save_pretrained(tmp_path / "theirs")
    imported = import_file(Request(file=tmp_path / "theirs"))
    assert imported.artifact.network.spec.name == ours
    assert imported.converted.share.is_whole
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    assert_same_logits(Logits(theirs), imported.artifact.network, images)
    export_file(imported.artifact, LAYOUTS["transformers"], tmp_path / "ours")
    loaded = resnet.ResNetForImageClassification.from_pretrained(tmp_path / "ours").eval()
    state, written = theirs.state_dict(), loaded.state_dict()
    assert set(state) == set(written)
    assert all(torch.equal(state[key], written[key]) for key in state)
    assert_same_logits(Logits(loaded), imported.artifact.network, images)
    compared("transformers", ours)
