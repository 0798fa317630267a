"""What is measured on a GPU, on which images, and what the machine would allow at most."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from bench.case import OURS, Arm, Case, Options

OURS_MODULE, PEERS = "bench.gpu.ours", "bench.gpu.peers"
AGREE = {"parameters": 0.0, "logits": 2e-3, "losses": 0.03}
CHECK_STEPS = 5  # three to warm up, then from the recording
AS_FOUND, TUNED = "as found", "tuned"


@dataclasses.dataclass(frozen=True)
class Work:
    """What training one image takes.

    Args:
        gflop: arithmetic: three times the forward pass, less the first layer's input gradient.
        fused_mb: bytes moved where batch norm, addition and ReLU ride along with convolutions.
        unfused_mb: the same where each is a pass of its own.
    """

    gflop: float
    fused_mb: float
    unfused_mb: float


WORK = {
    "train-resnet20": Work(0.242, 3.0, 7.2),
    "train-resnet56": Work(0.752, 8.5, 20.2),
    "train-resnet110": Work(1.516, 16.8, 39.8),
    "train-resnet50": Work(24.3, 175.0, 420.0),
}


def small(depth: int) -> Case:
    """Images of 32 px: cut and mirrored anew in every step by both."""

    def setup(options: Options) -> dict[str, Any]:
        drawn, copies = (160, 1) if options.quick else (2_000, 25)
        return {
            **folders(options, 32, drawn, copies),
            "network": f"resnet{depth}",
            "their_network": f"resnet{depth}",
            "layout": "akamaster",
            "batch_size": 16 if options.quick else 128,
            "img_size": 32,
            "pad_crop": 4,
            "flip": True,
        }

    found = Arm(name="akamaster's trainer, float32, DataLoader", group=AS_FOUND, module=PEERS)
    return _case(
        f"train-resnet{depth}",
        f"train ResNet-{depth}, 32 px, batch 128, loading included",
        (found,),
        {AS_FOUND: 10.0, TUNED: 2.0},
        setup,
    )


def large() -> Case:
    """ResNet-50 at 224 px: their batches lie ready on the device, ours are made from uint8."""

    def setup(options: Options) -> dict[str, Any]:
        drawn, copies = (40, 1) if options.quick else (320, 16)
        size = 64 if options.quick else 224
        return {
            **folders(options, size, drawn, copies),
            "network": "resnet50_v15",
            "their_network": "resnet50",
            "layout": "torchvision",
            "batch_size": 4 if options.quick else 256,
            "img_size": size,
            "pad_crop": 0,
            "flip": False,
        }

    return _case("train-resnet50", "train ResNet-50, 224 px, batch 256", (), {TUNED: 1.15}, setup)


def _case(
    name: str, title: str, others: tuple[Arm, ...], targets: dict[str, float], setup: Any
) -> Case:
    compiled = Arm(
        name="reslab train --compile", group=OURS, module=OURS_MODULE, settings={"compile": True}
    )
    tuned = Arm(
        name="torch.compile, bf16, NHWC, fused SGD, data on the device",
        group=TUNED,
        module=PEERS,
        settings={"tuned": True},
    )
    return Case(
        name=name,
        title=title,
        unit="images/s",
        ours=Arm(name="reslab train", group=OURS, module=OURS_MODULE),
        peers=(compiled, *others, tuned),
        targets=targets,
        setup=setup,
        agree=AGREE,
        seconds=0.8,
    )


def folders(options: Options, size: int, drawn: int, copies: int) -> dict[str, str]:
    """Draw images, and link each several times, so that an epoch is as long as CIFAR-10's."""
    from reslab.data.shapes import ShapeSettings, write_folder

    originals = options.scratch / f"originals-{size}"
    linked = options.scratch / f"images-{size}"
    if not originals.exists():
        write_folder(originals, ShapeSettings(num=drawn, size=size), layout="split")
        for file in sorted(originals.rglob("*.jpg")):
            place = linked / file.relative_to(originals).parent
            place.mkdir(parents=True, exist_ok=True)
            for copy in range(copies):
                os.link(file, place / f"{file.stem}-{copy}.jpg")
    return {"data": str(linked), "originals": str(originals), "copies": str(copies)}


def image_count(folder: Path) -> int:
    """Return the number of images below a folder."""
    return sum(1 for _ in folder.rglob("*.jpg"))


CASES = {case.name: case for case in (small(20), small(56), small(110), large())}
