"""The same with torch and torchvision: digits through a DataLoader, one step of ResNet-20."""

from __future__ import annotations

import os

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

from bench.peers.loading import transforms
from bench.peers.networks import make


class Digits(Dataset):
    """scikit-learn's digits as Pillow images, transformed one at a time."""

    def __init__(self) -> None:
        found = load_digits()
        self.pixels = np.repeat((found.images * 15.9375).astype(np.uint8)[..., None], 3, 3)
        self.labels = found.target
        settings = {"img_size": 8, "pad_crop": 1, "flip": False}
        self.transform = transforms(settings, (0.5,) * 3, (0.5,) * 3)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), int(self.labels[index])


def main() -> None:
    network = make("akamaster", "resnet20", 10)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    images, labels = next(iter(DataLoader(Digits(), 64, shuffle=True, num_workers=2)))
    nn.functional.cross_entropy(network(images), labels).backward()
    optimizer.step()
    os._exit(0)


if __name__ == "__main__":
    main()
