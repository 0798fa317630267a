"""`reslab.predict` on images that lie ready in memory as the network's input."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.session import Session
from reslab import networks
from reslab.networks.blocks import ResidualBlock
from reslab.networks.network import Network, build
from reslab.predict.runtimes import Auto
from reslab.weights import LAYOUTS, to_layout

BRANCH_SCALE = 0.1
VERY_MANY = 10**9
CALLS_TO_SETTLE = 3


def network_of(settings: dict[str, Any]) -> Network:
    """Build a network whose logits bear rounding as those of a trained one do.

    Its running statistics are those of random images, and each residual branch adds a tenth;
    with the scales of a new network bf16 changes the logits by a third. Its classifier knows the
    images, so that the best logit is as clear as a trained network's.
    """
    torch.manual_seed(0)
    network = build(networks.entry(settings["network"]).spec)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
        if isinstance(module, ResidualBlock):
            torch.nn.init.constant_([*module.branch.children()][-1].weight, BRANCH_SCALE)
    with torch.no_grad():
        network.train()(images_of(settings, 8))
        network.eval()
        images = images_of(settings, settings["batch_size"])
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        middle = features.mean(0) if len(features) > 1 else features.mean()
        known = F.normalize(features - middle)
        classifier = network.get_classifier()
        classifier.weight[: len(known)] += known
        classifier.bias[: len(known)] -= known @ (middle * torch.ones_like(known[0]))
    return network


def images_of(settings: dict[str, Any], batch_size: int) -> Tensor:
    """Return normalised images of a seed, coarse shapes and some noise."""
    draw = torch.Generator().manual_seed(1)
    size = settings["img_size"]
    coarse = torch.randn(batch_size, 3, 5, 5, generator=draw)
    noise = torch.randn(batch_size, 3, size, size, generator=draw)
    return F.interpolate(coarse, (size, size), mode="bicubic") + 0.2 * noise


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Compute logits of a batch, as often as each chunk says."""
    session.mark("import_s")
    call, facts = answering(settings)
    images = images_of(settings, settings["batch_size"])
    for _ in range(3):
        call(images)
    session.ready(torch=torch.__version__, **facts)
    for units in session.chunks():
        began = time.perf_counter()
        for _ in range(units):
            call(images)
        session.answer(units * len(images), time.perf_counter() - began)


def answering(settings: dict[str, Any]) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """Return what `reslab predict --runtime auto` settles on for very many images."""
    said: list[str] = []
    auto = Auto(network_of(settings), 1.0, device=torch.device("cpu"), notify=said.append)
    auto.expect(VERY_MANY)
    images = images_of(settings, settings["batch_size"])
    for _ in range(CALLS_TO_SETTLE):
        auto(images)
    return auto, {"runtime": said[-1] if said else "torch fp32"}


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Write weights and images for the peers, and say what ours makes of them."""
    network = network_of(settings)
    images = images_of(settings, settings["batch_size"])
    torch.save(
        {"weights": to_layout(network, LAYOUTS["torchvision"]), "images": images},
        Path(settings["scratch"]) / "shared.pt",
    )
    with torch.inference_mode():
        exact = network(images)
    call, _ = answering(settings)
    logits = call(images)
    apart = float((logits - exact).abs().max() / exact.abs().max())
    assert apart <= settings["tolerance"], f"our own logits differ by {apart:.3g} from float32's"
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "float32": exact.numpy(),
        "logits": exact.numpy(),
    }
