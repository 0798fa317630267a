"""Views of real small images, against one image and one crop at a time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from reslab.artifact import Artifact
from reslab.data.dataset import Dataset, FileImages
from reslab.data.decode import decode_file
from reslab.data.preprocess import Preprocess, fit, normalize
from reslab.errors import DataError, UsageError
from reslab.evaluate.views import Setup, at_size, default_scales, evaluate_model
from reslab.networks.network import build
from reslab.networks.resnet import ResNetSpec, StageSpec, StemSpec
from tolerance import rounding

COUNT = 7


def make_model(resize_size: int = 12, *, mean_image: bool = False) -> Artifact:
    torch.manual_seed(4)
    spec = ResNetSpec(
        name="tiny",
        num_classes=3,
        img_size=8,
        stem=StemSpec(width=4, kernel=3, stride=1, max_pool=False),
        stages=(StageSpec(width=4, depth=1, stride=1), StageSpec(width=8, depth=1, stride=2)),
    )
    image = np.random.default_rng(0).random((resize_size, resize_size, 3), np.float32)
    preprocess = Preprocess(
        img_size=8, resize_size=resize_size, mean_image=image if mean_image else None
    )
    return Artifact(build(spec).eval(), ("a", "b", "c"), preprocess, temperature=0.5)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    draw = np.random.default_rng(6)
    for i in range(COUNT):
        height, width = draw.integers(10, 25, 2)
        pixels = draw.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    images = FileImages(tmp_path, tuple(f"{i}.png" for i in range(COUNT)))
    labels = np.arange(COUNT) % 3
    return Dataset("drawn", ("a", "b", "c"), images, labels, {})


def whole(model: Artifact, dataset: Dataset, index: int) -> torch.Tensor:
    pixels = decode_file(dataset.images.name(index))
    return normalize(torch.tensor(fit(pixels, model.preprocess))[None], model.preprocess)


def softmax(model: Artifact, x: torch.Tensor) -> npt.NDArray[np.float64]:
    with torch.no_grad():
        logits = model.network(x)[0].double().numpy() / model.temperature
    powers: npt.NDArray[np.float64] = np.exp(logits)
    return powers / powers.sum()


SAMPLES = np.array([5, 0, 3, 6])
# Of probabilities: the network's sums have 215 terms, and half a temperature doubles its logits.
ROUNDING = rounding(torch.float32, 215, scale=8)


def measured(model: Artifact, dataset: Dataset, **setup: object) -> npt.NDArray[np.float64]:
    options = Setup(batch_size=3, **setup)  # type: ignore[arg-type]
    found = evaluate_model(model, dataset, dataset.labels, SAMPLES, options)
    np.testing.assert_array_equal(found.samples, SAMPLES)
    np.testing.assert_array_equal(found.labels, dataset.labels[SAMPLES])
    return found.probabilities()


@pytest.mark.parametrize("mean_image", [False, True])
def test_centre(dataset: Dataset, mean_image: bool) -> None:
    model = make_model(mean_image=mean_image)
    for row, sample in zip(measured(model, dataset), SAMPLES, strict=True):
        x = whole(model, dataset, sample)[..., 2:10, 2:10]
        np.testing.assert_allclose(row, softmax(model, x), rtol=0, atol=ROUNDING)


def ten_crops(x: torch.Tensor) -> list[torch.Tensor]:
    boxes = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    crops = [x[..., top : top + 8, left : left + 8] for top, left in boxes]
    return crops + [crop.flip(3) for crop in crops]


def test_ten_crops_average_probabilities(dataset: Dataset) -> None:
    model = make_model()
    for row, sample in zip(measured(model, dataset, views="10-crop"), SAMPLES, strict=True):
        crops = ten_crops(whole(model, dataset, sample))
        assert len({crop.numpy().tobytes() for crop in crops}) == 10
        expected = np.mean([softmax(model, crop) for crop in crops], axis=0)
        np.testing.assert_allclose(row, expected, rtol=0, atol=ROUNDING)


def test_ten_crops_average_logits_on_request(dataset: Dataset) -> None:
    model = make_model()
    found = measured(model, dataset, views="10-crop", average="logits")
    for row, sample in zip(found, SAMPLES, strict=True):
        with torch.no_grad():
            crops = ten_crops(whole(model, dataset, sample))
            mean = torch.stack([model.network(crop)[0] for crop in crops]).double().mean(0)
        powers = np.exp(mean.numpy() / model.temperature)
        np.testing.assert_allclose(row, powers / powers.sum(), rtol=0, atol=ROUNDING)


def test_ten_crops_of_whole_images_are_two(dataset: Dataset) -> None:
    model = make_model(resize_size=8)
    for row, sample in zip(measured(model, dataset, views="10-crop"), SAMPLES, strict=True):
        x = whole(model, dataset, sample)
        expected = (softmax(model, x) + softmax(model, x.flip(3))) / 2
        np.testing.assert_allclose(row, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("mean_image", [False, True])
def test_scales_average_probabilities(dataset: Dataset, mean_image: bool) -> None:
    model = make_model(mean_image=mean_image)
    found = measured(model, dataset, views="multi-scale", scales=(8, 11, 16))
    for row, sample in zip(found, SAMPLES, strict=True):
        parts = []
        for size in (8, 11, 16):
            scaled = dataclasses.replace(model, preprocess=at_size(model.preprocess, size))
            x = whole(scaled, dataset, sample)
            assert x.shape == (1, 3, size, size)
            parts.append(softmax(model, x))
        np.testing.assert_allclose(row, np.mean(parts, axis=0), rtol=0, atol=ROUNDING)


def test_a_scaled_mean_image_is_the_same_picture() -> None:
    model = make_model(mean_image=True)
    assert at_size(model.preprocess, 12).mean_image == pytest.approx(model.preprocess.mean_image)
    flat = np.full((12, 12, 3), 0.25, np.float32)
    preprocess = dataclasses.replace(model.preprocess, mean_image=flat)
    assert at_size(preprocess, 17).mean_image == pytest.approx(np.full((17, 17, 3), 0.25))


def test_default_scales_are_the_own_size_and_larger() -> None:
    assert default_scales(224) == (224, 256, 288)


def test_a_scale_that_the_network_cannot_take_is_refused(dataset: Dataset) -> None:
    model = make_model()
    with pytest.raises(UsageError, match="needs a side of"):
        measured(model, dataset, views="multi-scale", scales=(1,))


def test_an_unreadable_image_is_named(dataset: Dataset) -> None:
    Path(dataset.images.name(3)).write_bytes(b"")
    with pytest.raises(DataError, match=r"3\.png is empty"):
        measured(make_model(), dataset)


def test_progress_counts_every_image(dataset: Dataset) -> None:
    seen: list[int] = []
    measured(make_model(), dataset, views="multi-scale", scales=(8, 10), progress=seen.append)
    assert sum(seen) == 2 * len(SAMPLES)
