"""PyTorch as it is, on the prepared network: no compiling, ready at once."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from reslab.networks.network import Network
from reslab.predict.runtimes.prepared import Prepared
from reslab.predict.runtimes.runtime import Compute, Runtime, Shape, runtime


@runtime("eager", startup_s=0.3, speed={"fp32": 1.2, "bf16": 2.0, "fp16": 2.0})
def build(network: Network, shape: Shape, precision: str, device: torch.device) -> Compute:
    """Make the function from images to logits; any batch."""
    prepared = Prepared(network, precision, device)

    def compute(images: Tensor) -> Tensor:
        with torch.inference_mode():
            here = images.to(device, prepared.dtype, memory_format=torch.channels_last)
            logits: Tensor = prepared(here)
            return logits

    return compute


def reference(network: Network, device: torch.device) -> Runtime:
    """Return torch's own float32 on a copy of the network: what others are compared with."""
    network = copy.deepcopy(network).to(device).eval()

    def compute(images: Tensor) -> Tensor:
        with torch.inference_mode():
            here = images.to(device, torch.float32, memory_format=torch.channels_last)
            logits: Tensor = network(here)
            return logits.float()

    return Runtime("torch", "fp32", compute)
