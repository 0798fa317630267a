"""Batches for training and evaluation, on the device, ahead of the loop that consumes them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from reslab.data.arrays import Indices
from reslab.data.augment import Augment
from reslab.data.image_cache import FittedImages, ImageCache
from reslab.data.preprocess import Preprocess, network_input, prefetch
from reslab.data.sampler import Sampler, SampleRng
from reslab.data.transforms import mix, mixes, partners, random_view
from reslab.display.short import short_repr
from reslab.machine import available_cores

Made = TypeVar("Made")
MOST_THREADS = 4


@dataclasses.dataclass(frozen=True)
class Raw:
    """What a batch is made of, before any view of it is taken.

    Args:
        samples: int64 (B,), sample numbers.
        epochs: int64 (B,), how often each sample was visited before.
        pixels: uint8 (B, resize_size, resize_size, in_chans); None where the images lie on the
            device already, to be gathered there.
        partner_pixels: the same of the images to mix in; None also without mixing.
    """

    samples: Tensor
    epochs: Tensor
    pixels: Tensor | None = None
    partner_pixels: Tensor | None = None

    __repr__ = short_repr

    def tensors(self) -> list[Tensor]:
        """Return what is there, in the order of the fields."""
        fields = (self.samples, self.epochs, self.pixels, self.partner_pixels)
        return [value for value in fields if value is not None]

    def map(self, change: Callable[[Tensor], Tensor]) -> Raw:
        """Return the same with each tensor changed."""
        return Raw(
            change(self.samples),
            change(self.epochs),
            None if self.pixels is None else change(self.pixels),
            None if self.partner_pixels is None else change(self.partner_pixels),
        )


@dataclasses.dataclass(frozen=True)
class Batch:
    """One process's share of a step.

    Args:
        images: float32, (B, in_chans, img_size, img_size), channels last in memory.
        labels: int64 (B,).
        partner_labels: int64 (B,), the labels that were mixed in; None without mixing.
        weights: float32 (B,), the share of `labels`; None without mixing.
        samples: int64 (B,), sample numbers.
        epochs: int64 (B,), how often each sample was visited before.
    """

    images: Tensor
    labels: Tensor
    partner_labels: Tensor | None
    weights: Tensor | None
    samples: Tensor
    epochs: Tensor

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.labels)


class TrainLoader:
    """Training batches by step number, as a pure function of seed and step.

    Args:
        fitted: the images of all splits.
        sampler: which sample comes when.
        labels: int64, the class of every sample of the data set.
        augment: the random views.
        preprocess: how images become network input.
        seed: of the random views.
        batch_size: images a step, over all processes together.
        rank: number of this process.
        world_size: number of processes.
        device: where batches are wanted.
    """

    def __init__(
        self,
        fitted: FittedImages,
        sampler: Sampler,
        labels: Indices,
        augment: Augment,
        preprocess: Preprocess,
        *,
        seed: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | None = None,
    ) -> None:
        self.fitted = fitted
        self.sampler = sampler
        self.augment = augment
        self.preprocess = preprocess
        self.seed = seed
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.device = device or torch.device("cpu")
        self._labels = torch.as_tensor(labels, dtype=torch.int64).to(self.device)
        self._indices = sampler.indices.to(self.device)

    @property
    def is_resident(self) -> bool:
        """Tell whether the images lie where batches are wanted."""
        return self.fitted.device.type == self.device.type

    def batch(self, step: int) -> Batch:
        """Make the batch of one step.

        Raises:
            DataError: an image cannot be read (only where images stream from disk).
        """
        return self.make(self.raw(step))

    def raw(self, step: int) -> Raw:
        """Say what the batch of one step is made of, in memory of the host.

        Raises:
            DataError: an image cannot be read (only where images stream from disk).
        """
        samples, epochs = self.sampler.batch(step, self.batch_size, self.rank, self.world_size)
        if self.is_resident:
            return Raw(samples, epochs)
        pixels = self.fitted.gather(samples)
        if not self._mixes:
            return Raw(samples, epochs, pixels)
        others = partners(SampleRng(self.seed, epochs, samples), self.sampler.indices)
        return Raw(samples, epochs, pixels, self.fitted.gather(others))

    def make(self, raw: Raw) -> Batch:
        """Take the views: on the device alone, from nothing but the tensors of `raw`."""
        raw = raw.map(lambda tensor: tensor.to(self.device, non_blocking=True))
        rng = SampleRng(self.seed, raw.epochs, raw.samples)
        images = self._views(rng, raw.pixels)
        labels = self._labels[rng.samples]
        if not self._mixes:
            return Batch(images, labels, None, None, rng.samples, rng.epochs)
        other = dataclasses.replace(rng, samples=partners(rng, self._indices))
        others = self._views(other, raw.partner_pixels)
        images, weights = mix(images, others, rng, self.augment)
        other_labels = self._labels[other.samples]
        return Batch(images, labels, other_labels, weights, rng.samples, rng.epochs)

    def prefetch(
        self, first_step: int, last_step: int, depth: int = 2
    ) -> Generator[Batch, None, None]:
        """Yield the batches of first_step .. last_step - 1, made ahead where that saves time.

        Images that stream from disk, or go to a GPU, are made ahead by threads. Those that lie
        in memory of the processor that trains are made when they are wanted: a thread would
        take the core that an update is waiting for. Closing the generator ends the threads;
        what goes wrong in one is raised here.
        """
        if self.device.type == "cpu" and isinstance(self.fitted, ImageCache):
            return (self.batch(step) for step in range(first_step, last_step))
        return _ahead(self.batch, first_step, last_step, depth)

    def prefetch_raw(
        self, first_step: int, last_step: int, depth: int = 4
    ) -> Generator[Raw, None, None]:
        """Yield what the batches are made of, likewise; ready to be copied to a GPU meanwhile."""
        return _ahead(self._transferable, first_step, last_step, depth)

    def _transferable(self, step: int) -> Raw:
        raw = self.raw(step)
        return raw.map(Tensor.pin_memory) if self.device.type == "cuda" else raw

    @functools.cached_property
    def _mixes(self) -> bool:
        return mixes(self.augment)

    def _views(self, rng: SampleRng, pixels: Tensor | None) -> Tensor:
        if pixels is None:
            pixels = self.fitted.gather(rng.samples)
        return random_view(pixels, rng, self.augment, self.preprocess)


def _ahead(
    make: Callable[[int], Made], first_step: int, last_step: int, depth: int
) -> Generator[Made, None, None]:
    """Yield make(first_step) .. make(last_step - 1), made ahead by threads, in their order."""
    workers = min(MOST_THREADS, available_cores())
    with _single_threaded(workers) as pool:
        yield from prefetch(pool, make, range(first_step, last_step), depth)


@contextlib.contextmanager
def _single_threaded(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Start threads in each of which torch uses one core, and end them.

    More would wait for each other at every operation while training runs. The setting is each
    thread's own, and the default of those to come, which is put back.
    """
    num_threads, started = torch.get_num_threads(), threading.Barrier(workers + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread's first question sets its number to the default
        torch.set_num_threads(1)

    with ThreadPoolExecutor(workers, "reslab-loader", initializer=begin) as pool:
        for _ in range(workers):  # each waits for all others: so there are as many threads
            pool.submit(started.wait)
        started.wait()
        torch.set_num_threads(num_threads)
        yield pool


def eval_batches(
    fitted: FittedImages,
    samples: Indices | Tensor,
    preprocess: Preprocess,
    batch_size: int,
    device: torch.device | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield evaluation's view of samples, in their order; the last batch may be smaller.

    Yields:
        Images, float32 (B, in_chans, img_size, img_size), and their sample numbers.
    """
    device = device or torch.device("cpu")
    for part in torch.as_tensor(samples, dtype=torch.int64).split(batch_size):
        pixels = fitted.gather(part).to(device, non_blocking=True)
        images = network_input(pixels, preprocess)
        yield images.contiguous(memory_format=torch.channels_last), part
