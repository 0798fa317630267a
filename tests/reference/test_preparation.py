"""Images are prepared as torchvision and timm do for the weights that came from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from peers import assert_same_logits, peer, shake
from PIL import Image, ImageDraw

from reslab import artifact, networks
from reslab.data.preprocess import Preprocess, fit, network_input
from reslab.networks.network import build
from reslab.weights import LAYOUTS, Request, export_file, import_file
from reslab.weights.preparation import imagenet

pytestmark = pytest.mark.slow


def picture(width: int, height: int) -> Image.Image:
    """Draw something with edges and slopes, as photographs have."""
    image = Image.radial_gradient("L").resize((width, height)).convert("RGB")
    pen = ImageDraw.Draw(image)
    pen.ellipse((width // 4, height // 4, width // 2, height // 2), fill=(200, 40, 90))
    pen.line((0, height, width, 0), fill=(20, 220, 120), width=9)
    return image


def prepared(image: Image.Image, preprocess: Preprocess) -> torch.Tensor:
    fitted = fit(np.asarray(image), preprocess).copy()
    return network_input(torch.from_numpy(fitted)[None], preprocess)


@pytest.mark.parametrize(("size", "tolerance"), [((300, 300), 1e-6), ((500, 375), 0.2)])
def test_torchvision(size, tolerance):
    """Equal for squares; else torchvision rounds the longer side and the crop to whole pixels."""
    peer("torchvision")
    from torchvision.transforms._presets import ImageClassification

    image = picture(*size)
    expected = ImageClassification(crop_size=224, antialias=True)(image)[None]
    preprocess = imagenet(networks.entry("resnet18").spec)
    found = prepared(image, preprocess)
    assert found.shape == expected.shape
    assert (found - expected).abs().mean() <= tolerance * expected.std()


def test_a_folder_for_timm_and_back(tmp_path: Path):
    timm = peer("timm")
    network = shake(build(networks.replace(networks.entry("resnet18").spec, num_classes=2)))
    preprocess = imagenet(network.spec)
    model = artifact.Artifact(network=network, classes=("owl", "elk"), preprocess=preprocess)
    export_file(model, LAYOUTS["timm"], tmp_path / "folder")
    theirs = timm.create_model(f"local-dir:{tmp_path / 'folder'}", pretrained=True).eval()
    assert_same_logits(theirs, network, torch.randn(2, 3, 64, 64))
    told = timm.data.resolve_data_config({}, model=theirs)
    assert tuple(told["input_size"]) == (3, 224, 224)
    assert tuple(told["mean"]) == preprocess.mean
    assert told["interpolation"] == "bilinear"
    transform = timm.data.create_transform(**told)
    image = picture(300, 300)
    ours = prepared(image, preprocess)
    assert (transform(image)[None] - ours).abs().max() <= 1e-5
    back = import_file(Request(file=tmp_path / "folder" / "model.safetensors"))
    assert back.artifact.preprocess == preprocess
    assert back.artifact.classes == ("owl", "elk")
    assert back.notes == ()
