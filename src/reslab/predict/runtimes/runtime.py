"""What computes logits, whoever does it: the types that all runtimes share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from reslab.networks.network import Network

Shape = tuple[int, int, int, int]
Compute = Callable[[Tensor], Tensor]
Build = Callable[[Network, Shape, str, torch.device], Compute]


def shape_of(images: Tensor) -> Shape:
    """Return (B, in_chans, H, W)."""
    batch, channels, height, width = images.shape
    return batch, channels, height, width


@dataclasses.dataclass(frozen=True)
class Runtime:
    """logits = runtime(images), whatever computes it.

    Args:
        name: which of `KINDS` it is.
        precision: "fp32", "bf16" or "fp16": of the convolutions.
        compute: normalised float32 images (B, in_chans, H, W), any B, to float32 logits.
    """

    name: str
    precision: str
    compute: Compute

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes), float32, on the CPU."""
        return self.compute(images).cpu()

    def __str__(self) -> str:
        return f"{self.name} {self.precision}"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way of computing a network, and what is known of it before it is tried.

    Args:
        name: what users call it.
        build: (network, shape of the usual batch, precision, device) to the function. The
            network stays as it is.
        lacking: says why it cannot be used here on a device, or an empty string.
        startup_s: what building it took for ResNet-50 on two cores, seconds.
        speed: its images a second there, as a multiple of PyTorch's in float32, by precision.
    """

    name: str
    build: Build
    lacking: Callable[[torch.device], str]
    startup_s: float
    speed: dict[str, float]

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those it computes in."""
        return tuple(self.speed)
