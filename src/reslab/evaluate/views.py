"""Which views of an image a model is shown: its centre, ten crops, or several scales.

At several scales a network sees the whole image. Where it has fully-connected layers they slide
over the larger maps and their logits are averaged, as in VGG's own evaluation.

Averages are of probabilities, as in the release of He et al. 2015, or of logits, as in
fb.resnet.torch; the two differ little and are both reported in the literature.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.artifact import Artifact
from reslab.data.arrays import Indices
from reslab.data.dataset import Dataset
from reslab.data.image_cache import FittedImages, ImageStream
from reslab.data.loader import eval_batches
from reslab.data.preprocess import Preprocess, center_crop, normalize
from reslab.errors import UsageError
from reslab.evaluate.compare import together
from reslab.evaluate.evaluation import Evaluation
from reslab.evaluate.run import Batches, evaluate_network
from reslab.machine import enough_memory
from reslab.networks.surgery.dense import dense_at

ViewName = Literal["centre", "10-crop", "multi-scale"]
Average = Literal["softmax", "logits"]
# 224 and two larger sides that a network trained on random resized crops still knows well.
SCALE_FACTORS = (1.0, 8 / 7, 9 / 7)
MakeBatches = Callable[[FittedImages, Indices, Preprocess, int, torch.device], Batches]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setup:
    """How an evaluation is carried out.

    Args:
        views: which views are averaged.
        average: whether ten crops are averaged as probabilities or as logits.
        scales: sides in pixels for multi-scale; empty for SCALE_FACTORS times the model's own.
        batch_size: images computed at once.
        workers: threads that decode; 0 for one a core.
        device: where to compute.
        precision: arithmetic of the forward pass; None for float32.
        progress: called with the number of images that were just handed to the network.
    """

    views: ViewName = "centre"
    average: Average = "softmax"
    scales: tuple[int, ...] = ()
    batch_size: int = 128
    workers: int = 0
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - immutable
    precision: torch.dtype | None = None
    progress: Callable[[int], None] | None = None


def evaluate_model(
    model: Artifact, dataset: Dataset, labels: Indices, samples: Indices, setup: Setup
) -> Evaluation:
    """Measure a model on images of a data set.

    Args:
        model: what to measure; its network is moved to the device.
        dataset: where the images are.
        labels: the class number of every image, in the order of the model's classes.
        samples: the images to measure on.
        setup: views, device, precision.

    Raises:
        DataError: an image cannot be read, or there are none.
        UsageError: a scale is too small for the network.
        MachineError: there is not enough memory for a batch.
    """
    network, own = model.network.to(setup.device), model.preprocess

    def measure(
        shown_to: nn.Module, preprocess: Preprocess, temperature: float, make_batches: MakeBatches
    ) -> Evaluation:
        fitted = ImageStream(dataset.images, preprocess, workers=setup.workers)
        with enough_memory(setup.batch_size, preprocess.img_size):
            return evaluate_network(
                shown_to,
                partial(_reported, make_batches, fitted, preprocess, setup),
                labels=labels,
                samples=samples,
                classes=model.classes,
                device=setup.device,
                precision=setup.precision,
                temperature=temperature,
            )

    if setup.views == "centre":
        return measure(network, own, model.temperature, eval_batches)
    if setup.views == "10-crop":
        crops = TenCrop(network, own.img_size, model.temperature, setup.average)
        return measure(crops, own, 1.0, _whole_batches)
    sizes = setup.scales or default_scales(own.img_size)
    network = dense_at(network, own.img_size)
    if min(sizes) < network.min_size:
        raise UsageError(
            f"{network.spec.name} needs a side of {network.min_size} pixels or more, "
            f"received {min(sizes)}"
        )
    return together(
        [measure(network, at_size(own, size), model.temperature, eval_batches) for size in sizes]
    )


def default_scales(img_size: int) -> tuple[int, ...]:
    """Return the sides that multi-scale uses when it is not told any."""
    return tuple(round(factor * img_size) for factor in SCALE_FACTORS)


def at_size(preprocess: Preprocess, size: int) -> Preprocess:
    """Return the preprocessing that shows the whole fitted image at another side."""
    mean_image = preprocess.mean_image
    if mean_image is not None:
        planes = torch.tensor(mean_image).permute(2, 0, 1).unsqueeze(0)
        scaled = F.interpolate(planes, (size, size), mode="bilinear", antialias=True)
        mean_image = scaled[0].permute(1, 2, 0).contiguous().numpy()
    return dataclasses.replace(preprocess, img_size=size, resize_size=size, mean_image=mean_image)


class TenCrop(nn.Module):
    """log mean softmax(f(crop) / T) over corners, centre and their mirror images.

    Args:
        network: f.
        img_size: side of the crops.
        temperature: T.
        average: "logits" for mean f(crop) / T instead.

    Source:
        Krizhevsky et al. 2012, section 4.1; He et al. 2015, section 3.4.
    """

    def __init__(
        self, network: nn.Module, img_size: int, temperature: float, average: Average
    ) -> None:
        super().__init__()
        self.network = network
        self.img_size = img_size
        self.temperature = temperature
        self.average = average

    def forward(self, x: Tensor) -> Tensor:
        """Compute one row of logits an image.

        Args:
            x: normalised images that are not cut yet, (B, C, resize_size, resize_size).
        """
        outputs = [self.network(crop).float() / self.temperature for crop in self.crops(x)]
        stacked = torch.stack(outputs)
        if self.average == "logits":
            return stacked.mean(0)
        return stacked.log_softmax(-1).logsumexp(0) - math.log(len(outputs))

    def crops(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the ten views, (B, C, img_size, img_size); two where nothing is cut off."""
        size, end = self.img_size, x.shape[-1] - self.img_size
        corners = [(0, 0), (0, end), (end, 0), (end, end)] if end else []
        views = [x[..., top : top + size, left : left + size] for top, left in corners]
        for view in [*views, center_crop(x, size)]:
            yield view.contiguous(memory_format=torch.channels_last)
            yield view.flip(-1).contiguous(memory_format=torch.channels_last)


def _whole_batches(
    fitted: FittedImages,
    samples: Indices,
    preprocess: Preprocess,
    batch_size: int,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normalised images that are not cut yet, and their numbers."""
    for part in torch.as_tensor(samples, dtype=torch.int64).split(batch_size):
        yield normalize(fitted.gather(part).to(device), preprocess), part


def _reported(
    make_batches: MakeBatches,
    fitted: FittedImages,
    preprocess: Preprocess,
    setup: Setup,
    samples: Indices,
) -> Iterator[tuple[Tensor, Tensor]]:
    for images, part in make_batches(fitted, samples, preprocess, setup.batch_size, setup.device):
        yield images, part
        if setup.progress is not None:
            setup.progress(len(part))
