"""What computes logits, whoever does it: the types that all runtimes share, and their registry.

A runtime is one file: a function that builds it for a network, under `runtime`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from reslab.networks.network import Network
from reslab.registry import Registry

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
        name: which of `RUNTIMES` it is.
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
class RuntimeKind:
    """A way of computing a network, and what is known of it before it is tried.

    Args:
        name: what users call it.
        build: (network, shape of the usual batch, precision, device) to the function. The
            network stays as it is.
        startup_s: what building it took for ResNet-50 on two cores, seconds.
        speed: its images a second there, as a multiple of PyTorch's in float32, by precision.
        packages: what must be installed; with any, it computes on the processor alone.
        extra: what installs them, ``pip install 'reslab[extra]'``.
        unusable: says why it cannot be used here on a device, or an empty string.
    """

    name: str
    build: Build
    startup_s: float
    speed: Mapping[str, float]
    packages: tuple[str, ...] = ()
    extra: str = ""
    unusable: Callable[[torch.device], str] = lambda device: ""

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those it computes in."""
        return tuple(self.speed)

    def lacking(self, device: torch.device) -> str:
        """Say why it cannot be used here on a device, or nothing."""
        if self.packages and device.type != "cpu":
            return f"it computes on the processor, not on {device}"
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            names = " and ".join(missing)
            return f"{names} not installed: pip install 'reslab[{self.extra}]'"
        return self.unusable(device)


RUNTIMES: Registry[RuntimeKind] = Registry("runtime")


def runtime(
    name: str,
    *,
    startup_s: float,
    speed: Mapping[str, float],
    packages: tuple[str, ...] = (),
    extra: str = "",
    unusable: Callable[[torch.device], str] = lambda device: "",
) -> Callable[[Build], Build]:
    """Register the function below as what builds a runtime; arguments as for `RuntimeKind`."""

    def register(build: Build) -> Build:
        kind = RuntimeKind(name, build, startup_s, speed, packages, extra, unusable)
        RUNTIMES.register(name, kind)
        return build

    return register
