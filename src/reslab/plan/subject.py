"""What is trained, and on what: a request resolved, or images imagined where there are none yet."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from reslab import machine, models
from reslab.data.bank import RESIDENT_SHARE, why_stream
from reslab.data.chunks import available_cores, fit_image
from reslab.data.dataset import ArrayImages, Dataset, Images
from reslab.data.preprocess import Preprocess
from reslab.data.split import complete_splits
from reslab.data.store import in_memory, store_bytes, store_path
from reslab.errors import UsageError
from reslab.plan.memory import process_mib
from reslab.plan.task import MIB, Task
from reslab.training.choose import Chosen, choose
from reslab.training.config import Request
from reslab.training.evaluating import EVAL_BATCH
from reslab.training.inputs import decide
from reslab.training.observe import Observer, Silent
from reslab.training.preprocessing import geometry
from reslab.training.recipe import override

MOST_SAMPLED = 1024
SAMPLE_S = 1.0


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network, a recipe and images.

    Args:
        request: what was asked for.
        dataset: the images with their splits.
        chosen: the network and the recipe.
        opening_s: time that opening and checking the images takes, seconds.
        opened_mib: memory that this took: modules, names, images that are in no files, MiB.
        imagined: whether there are no images, only their number and size.
    """

    request: Request
    dataset: Dataset
    chosen: Chosen
    opening_s: float = 0.0
    opened_mib: float = 0.0
    imagined: bool = False

    def count(self, split: str) -> int:
        """Return the number of images in a split, 0 where there is no such split."""
        return {str(name): len(samples) for name, samples in self.dataset.splits.items()}.get(
            split, 0
        )

    def task(self) -> Task:
        """Return what is to be measured."""
        evaluated = max(self.count("val"), self.count("test")) or self.count("train")
        return Task(
            spec=self.chosen.spec,
            recipe=override(self.chosen.recipe, {"precision": self.precision}),
            evaluated=min(evaluated, EVAL_BATCH),
            device=str(self.device),
        )

    @property
    def device(self) -> torch.device:
        """Return where to compute."""
        return machine.choose_device(self.request.device)

    @property
    def precision(self) -> str:
        """Return the precision that training would compute in: fp32, bf16 or fp16."""
        precision = self.chosen.recipe.precision
        if precision != "auto":
            return precision
        return "fp32" if machine.autocast_dtype("auto", self.device) is None else "bf16"

    def with_model(self, name: str) -> Subject:
        """Return the same images with another network and what its recipe then is.

        Raises:
            UsageError: an unknown network, or one that cannot take these images.
        """
        return self._chosen_again(dataclasses.replace(self.request, model=name, spec=None))

    def with_changes(self, changes: Mapping[str, Any]) -> Subject:
        """Return the same with other recipe fields, as if the request had named them."""
        request = dataclasses.replace(self.request, overrides={**self.request.overrides, **changes})
        if changes.get("img_size", self.chosen.spec.img_size) != self.chosen.spec.img_size:
            return self._chosen_again(request)
        chosen = dataclasses.replace(self.chosen, recipe=override(self.chosen.recipe, changes))
        return dataclasses.replace(self, request=request, chosen=chosen)

    def _chosen_again(self, request: Request) -> Subject:
        """Resolve another request for the same images: the recipe may depend on what changed."""
        if self.imagined:
            dataset = self.dataset
            return imagine(
                request, num_images=len(dataset.labels), num_classes=len(dataset.classes)
            )
        again = resolve(request)  # the first opening tells what a run's takes
        return dataclasses.replace(again, opening_s=self.opening_s, opened_mib=self.opened_mib)


@dataclasses.dataclass(frozen=True)
class ImagesCost:
    """What the images cost besides the steps.

    Args:
        memory_mib: what they take once all have been seen: of the process, or of a GPU, MiB.
        decode_s: time to decode them into the store, once for all runs; 0 where that is done.
        stream_s: time to decode an image that is decoded anew at each visit; 0 with a store.
    """

    memory_mib: float
    decode_s: float
    stream_s: float


def resolve(request: Request, observer: Observer | None = None) -> Subject:
    """Open the images of a request and choose what it leaves open, as training does.

    The length is the recipe's own, whatever the request's time.

    Raises:
        ReslabError: as `training.inputs.decide`.
    """
    began, before_mib = time.perf_counter(), process_mib()
    request = dataclasses.replace(request, time_s=None)
    dataset, chosen, _ = decide(request, observer or Silent())
    return Subject(
        request,
        dataset,
        chosen,
        opening_s=time.perf_counter() - began,
        opened_mib=max(0.0, process_mib() - before_mib),
    )


_MOST_IMAGES = 10**12


def imagine(request: Request, *, num_images: int, num_classes: int | None = None) -> Subject:
    """Resolve a request for images that are not there yet.

    Args:
        request: its `data` does not matter; without an `img_size` the network's own is taken.
        num_images: images in all, the held-out ones included.
        num_classes: None for as many as the network has logits.

    Raises:
        UsageError: no network is named, or there are fewer images than classes.
    """
    if request.model == "auto" or request.source is not None:
        raise UsageError(
            "without images the network must be named", remedy="use --model NAME (reslab list)"
        )
    spec = models.named_spec(request.model, stem=request.stem)
    classes = spec.num_classes if num_classes is None else num_classes
    if classes < 2 or num_images < 2 * classes:
        raise UsageError(
            f"{num_images:,} images of {classes:,} classes are too few (2 of each at least, and "
            "2 classes)",
            remedy="use --images and --classes",
        )
    if num_images > _MOST_IMAGES:
        raise UsageError(f"{num_images:,} images are more than there are")
    size = int(request.overrides.get("img_size", spec.img_size))
    pixel = np.zeros((), np.uint8)
    dataset = Dataset(
        name="images",
        classes=tuple(f"class {k}" for k in range(classes)),
        images=ArrayImages(np.broadcast_to(pixel, (num_images, size, size, 3))),
        labels=np.arange(num_images, dtype=np.int64) % classes,
        splits={},
    )
    request = dataclasses.replace(
        request, time_s=None, overrides={**request.overrides, "img_size": size}
    )
    test = request.test_fraction
    dataset = complete_splits(dataset, val_fraction=0, test_fraction=test, seed=0)
    chosen = choose(request, dataset, None)
    dataset = complete_splits(dataset, val_fraction=chosen.recipe.val_fraction, seed=0)
    return Subject(request, dataset, chosen, imagined=True)


def cost_of_images(subject: Subject) -> ImagesCost:
    """Measure what decoding takes on a sample of the files, where they are not decoded yet."""
    images, request = subject.dataset.images, subject.request
    preprocess = geometry(subject.chosen.recipe, subject.chosen.spec.in_chans)
    size_mib = store_bytes(images, preprocess) / MIB
    on_gpu = subject.device.type == "cuda"
    if on_gpu and size_mib > RESIDENT_SHARE * torch.cuda.mem_get_info(subject.device)[0] / MIB:
        size_mib = 0.0
    if subject.imagined:
        return ImagesCost(size_mib, 0.0, 0.0)
    original_mib = images.pixels.nbytes / MIB if isinstance(images, ArrayImages) else 0.0
    opened_mib = 0.0 if on_gpu else max(subject.opened_mib, original_mib)
    if in_memory(images, preprocess) is not None:
        return ImagesCost(size_mib if on_gpu else opened_mib, 0.0, 0.0)
    if store_path(images, preprocess, request.cache).is_file():
        return ImagesCost(opened_mib + size_mib, 0.0, 0.0)
    image_s = _decode_s(images, preprocess, request.workers)
    if why_stream(subject.dataset, preprocess, cache=request.cache):
        return ImagesCost(opened_mib, 0.0, image_s)
    return ImagesCost(opened_mib + size_mib, image_s * len(images), 0.0)


def _decode_s(images: Images, preprocess: Preprocess, workers: int) -> float:
    """Decode a sample for a second; returns the time an image takes of all workers together.

    One thread tells of all: many small files go to processes, and large ones are decoded
    without Python's lock.
    """
    places = np.linspace(0, len(images) - 1, min(len(images), MOST_SAMPLED)).astype(int).tolist()
    began, done, spent = time.perf_counter(), 0, 0.0
    while done < len(places) and spent < SAMPLE_S:
        fit_image(images, places[done], preprocess)
        done, spent = done + 1, time.perf_counter() - began
    return spent / done / (workers or available_cores())
