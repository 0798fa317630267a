"""Where fitted images come from: one surface for the store and for the stream."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Bank(Protocol):
    """All images of a data set, fitted to one size, by number."""

    def __len__(self) -> int: ...

    @property
    def resize_size(self) -> int:
        """Side of the images, pixels."""
        ...

    @property
    def in_chans(self) -> int:
        """Channels of the images."""
        ...

    @property
    def num_bytes(self) -> int:
        """Size of all images together."""
        ...

    @property
    def device(self) -> torch.device:
        """Where `gather` puts its result."""
        ...

    def gather(self, samples: Tensor) -> Tensor:
        """Return images by number: uint8, (B, resize_size, resize_size, in_chans)."""
        ...
