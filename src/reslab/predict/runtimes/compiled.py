"""The network compiled by torch for this machine, its weights frozen into the code."""

from __future__ import annotations

import shutil

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.networks.network import Network
from reslab.predict.runtimes.exported import exported, quiet
from reslab.predict.runtimes.prepared import Prepared
from reslab.predict.runtimes.runtime import Compute, Shape, runtime


def _unusable(device: torch.device) -> str:
    if device.type == "mps":
        return "torch's compiler is used on processors and CUDA devices"
    if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        return "there is no C++ compiler"
    return ""


@runtime(
    "compiled",
    startup_s=45.0,
    speed={"fp32": 1.7, "bf16": 3.5, "fp16": 3.5},
    unusable=_unusable,
)
def build(network: Network, shape: Shape, precision: str, device: torch.device) -> Compute:
    """Compile for batches of one size; others are cut or filled up to it.

    The first call would compile otherwise, so that one is made here.
    """
    size = shape[0]
    with quiet():
        # The exported graph is a module of its own: torch keeps compiled code by the forward
        # function, which all networks of a class share.
        graph = exported(Prepared(network, precision, device), shape).module()
        compiled = torch.compile(graph, dynamic=False, options={"freezing": device.type == "cpu"})

    def compute(images: Tensor) -> Tensor:
        here = images.to(device).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            parts = [_of_size(compiled, part, size) for part in here.split(size)]
        return torch.cat(parts)

    with quiet():
        compute(torch.zeros(shape))
    return compute


def _of_size(compiled: Compute, images: Tensor, size: int) -> Tensor:
    missing = size - len(images)
    if missing:
        images = F.pad(images, (0, 0, 0, 0, 0, 0, 0, missing))
        images = images.contiguous(memory_format=torch.channels_last)
    return compiled(images)[: size - missing].clone()
