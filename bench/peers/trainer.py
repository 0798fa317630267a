"""A trainer as PyTorch's users write it, plain or tuned by hand, on any device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.session import CHECK_RATE


class Trainer:
    """One network with its optimizer.

    Args:
        network: with the weights to begin from.
        rate: learning rate.
        tuned: an optimizer in one pass and no reading of the loss, instead of what one finds in
            tutorials; with `bf16` and `channels_last`.
        bf16: compute in bf16 where tuned, else in float32.
        channels_last: keep channels last (NHWC) where tuned.
        compiled: whether torch compiles the network.
        device: where.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        rate: float,
        tuned: bool,
        bf16: bool = True,
        channels_last: bool = True,
        compiled: bool = False,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.tuned = tuned
        self.bf16 = bf16
        self.layout = torch.channels_last if tuned and channels_last else torch.contiguous_format
        self.network = network.to(self.device)
        if self.layout is torch.channels_last:
            self.network = self.network.to(memory_format=self.layout)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            rate,
            momentum=0.9,
            weight_decay=1e-4,
            fused=True if tuned else None,
        )
        self.network.train()
        self.forward: Any = torch.compile(self.network) if compiled else self.network

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Take one update; as found, the loss and the accuracy are also read each time."""
        images = images.to(self.device, non_blocking=True)
        labels = labels.to(self.device, non_blocking=True)
        if not self.tuned:
            output = self.forward(images)
            loss = self.criterion(output, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss.item()
            (output.detach().topk(1).indices.squeeze(1) == labels).float().sum().item()
            return loss
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            output = self.forward(images.contiguous(memory_format=self.layout))
            loss = self.criterion(output, labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss


def checked(trainer: Trainer, shared: dict[str, Any]) -> dict[str, Any]:
    """Say what a trainer makes of our weights and batches.

    Args:
        trainer: with our weights; its rate becomes that of the check.
        shared: what our arm has written.
    """
    for group in trainer.optimizer.param_groups:
        group["lr"] = CHECK_RATE
    network = trainer.network.eval()
    with torch.no_grad():
        logits = network(shared["images"][0][:8].to(trainer.device)).float().cpu().numpy()
    network.train()
    steps = zip(shared["images"], shared["labels"], strict=True)
    losses = [float(trainer.step(*batch).detach()) for batch in steps]
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "logits": logits,
        "losses": losses,
    }
