"""A network made ready to compute logits only: batch norms folded, shorter type, NHWC."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reslab.networks.network import Network
from reslab.networks.surgery.fold import fold_batch_norm

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Prepared(nn.Module):
    """logits = network(images), with folded batch norms and convolutions in a shorter type.

    Batch norms that could not be folded, and the layer that puts out the logits, stay in
    float32: they cost next to nothing, and logits of 8 bits would tie.

    Args:
        network: any network; it stays as it is.
        precision: "fp32", "bf16" or "fp16".
        device: where the copy goes.
    """

    def __init__(self, network: Network, precision: str, device: torch.device) -> None:
        super().__init__()
        folded = fold_batch_norm(network)
        self.dtype = DTYPES[precision]
        if self.dtype != torch.float32:
            _shorten(folded, self.dtype)
            classifier = folded.get_classifier()
            if not isinstance(classifier, nn.Identity):
                folded.head.classifier = _Float32(classifier)
        self.network = folded.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Compute float32 logits of normalised images (B, in_chans, H, W)."""
        logits: Tensor = self.network(images.to(self.dtype))
        return logits.float()


class _Float32(nn.Module):
    """The same layer, computed in float32 whatever comes in."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.float()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.float())
        return y


def _shorten(network: Network, dtype: torch.dtype) -> None:
    kept = set(network.get_classifier().modules())
    for module in network.modules():
        if module in kept or isinstance(module, _BatchNorm):
            continue
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.to(dtype)
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_floating_point():
                setattr(module, name, buffer.to(dtype))
