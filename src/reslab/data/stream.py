"""Images decoded when they are asked for: for data sets too large for a store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from reslab.data.chunks import fit_image
from reslab.data.dataset import Images
from reslab.data.preprocess import Preprocess
from reslab.machine import available_cores


class Stream:
    """All images of a data set, read from their files each time.

    Args:
        images: what to read.
        preprocess: how to fit.
        workers: threads that decode; 0 for one a core.
        reason: why there is no store, for people.
    """

    def __init__(
        self, images: Images, preprocess: Preprocess, *, workers: int = 0, reason: str = ""
    ) -> None:
        self.images = images
        self.preprocess = preprocess
        self.workers = workers or available_cores()
        self.reason = reason
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="reslab-decode")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def resize_size(self) -> int:
        """Side of the images, pixels."""
        return self.preprocess.resize_size

    @property
    def in_chans(self) -> int:
        """Channels of the images."""
        return self.preprocess.in_chans

    @property
    def num_bytes(self) -> int:
        """Size of all images together, if they were in memory."""
        return len(self) * self.resize_size**2 * self.in_chans

    @property
    def device(self) -> torch.device:
        """Where `gather` puts its result."""
        return torch.device("cpu")

    def gather(self, samples: Tensor) -> Tensor:
        """Decode images by number: uint8, (B, resize_size, resize_size, in_chans).

        Raises:
            DataError: an image cannot be decoded; the message names it.
        """
        size = self.resize_size
        pixels = np.empty((len(samples), size, size, self.in_chans), np.uint8)

        def read(place: int, index: int) -> None:
            pixels[place] = fit_image(self.images, index, self.preprocess)

        numbers = samples.tolist()
        for _ in self._pool.map(read, range(len(numbers)), numbers):
            pass
        return torch.from_numpy(pixels)

    def describe(self) -> str:
        """Say in one line where the images come from, and why."""
        what = f"{len(self):,} images of {self.resize_size}x{self.resize_size}"
        return f"{what} decoded from their files as they are needed: {self.reason}"
