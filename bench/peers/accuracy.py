"""akamaster's recipe from beginning to end, on a schedule of any length: prints test accuracy.

    python -m bench.peers.accuracy FOLDER --epochs 8 --seed 0

ResNet-20, batches of 128, SGD 0.1 with momentum 0.9 and weight decay 1e-4, divided by ten at half
and at three quarters of the epochs, pad-and-crop of 4 and flips, ImageNet's mean and deviation.
The arithmetic is bf16 where the processor has it, in NHWC with batched views, which changes the
time and not the method.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor

from bench.peers import loading
from bench.peers.akamaster import ResNet
from bench.peers.trainer import Trainer
from reslab import machine

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MILESTONES = (0.5, 0.75)
BATCH, EVAL_BATCH = 128, 500


def test_images(folder: Path) -> tuple[Tensor, Tensor]:
    """Return the test images, normalised, and their labels."""
    pixels, labels = loading.decoded(folder / "test")
    images = torch.from_numpy(pixels).float() / 255
    return ((images - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2), (
        torch.from_numpy(labels)
    )


def accuracy_pct(trainer: Trainer, images: Tensor, labels: Tensor) -> float:
    """Evaluate in float32."""
    trainer.network.eval()
    with torch.no_grad():
        found = [trainer.network(part).argmax(1) for part in images.split(EVAL_BATCH)]
    trainer.network.train()
    return 100 * float((torch.cat(found) == labels).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    began = time.perf_counter()
    settings = {
        "data": str(args.folder),
        "batch_size": BATCH,
        "img_size": 32,
        "pad_crop": 4,
        "flip": True,
    }
    trainer = Trainer(initial(), rate=0.1, tuned=True, bf16=machine.has_bf16(torch.device("cpu")))
    batches = loading.batched(settings, MEAN, STD)
    steps = len(loading.files(args.folder / "train")[0]) // BATCH
    for epoch in range(args.epochs):
        passed = sum(epoch >= share * args.epochs for share in MILESTONES)
        trainer.optimizer.param_groups[0]["lr"] = 0.1 * 0.1**passed
        for _ in range(steps):
            trainer.step(*next(batches))
    accuracy = accuracy_pct(trainer, *test_images(args.folder))
    wall_s = time.perf_counter() - began
    print(json.dumps({"epochs": args.epochs, "accuracy_pct": accuracy, "wall_s": wall_s}))


def initial() -> ResNet:
    """Return akamaster's network with its initial weights: Kaiming's normal, norms as torch's."""
    network = ResNet(20)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight)
    return network


if __name__ == "__main__":
    main()
