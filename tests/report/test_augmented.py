import numpy as np
import torch
from make_run import decode, many_classes

from reslab.data.dataset import Dataset
from reslab.data.image_cache import open_fitted
from reslab.data.loader import TrainLoader
from reslab.data.preprocess import Preprocess
from reslab.data.sampler import Sampler
from reslab.report.augmented import augmented_views, early_sentence
from reslab.training.recipe import Augment, Recipe, to_json


def check_views_are_the_loader_s(dataset: Dataset, augment: Augment, channels: int) -> None:
    side = dataset.images.read(0).shape[0]
    preprocess = Preprocess(
        img_size=side, resize_size=side, in_chans=channels,
        mean=(0.4,) * channels, std=(0.3,) * channels,
    )  # fmt: skip
    recipe = to_json(Recipe(name="any", augment=augment))
    shown = augmented_views(dataset, recipe, preprocess.to_json(), 7, images=3, epochs=2)
    train = dataset.splits["train"]
    loader = TrainLoader(
        open_fitted(dataset, preprocess), Sampler(train, 7), dataset.labels, augment, preprocess,
        seed=7, batch_size=len(train),
    )  # fmt: skip
    for epoch in range(2):
        batch = loader.batch(epoch)
        pixels = ((batch.images * 0.3 + 0.4) * 255).round().clamp(0, 255).to(torch.uint8)
        for row in shown:
            label = dataset.classes.index(row.name)
            sample = int(train[dataset.labels[train] == label][0])
            place = int((batch.samples == sample).nonzero())
            expected = pixels[place].permute(1, 2, 0).numpy().squeeze()
            picture = np.asarray(decode(row.views[epoch]))
            assert np.abs(picture.astype(int) - expected.astype(int)).max() <= 1


def test_views_are_those_that_the_run_took(digits_dataset: Dataset) -> None:
    augment = Augment(pad_crop=1, flip=True, rotate=10, random_erasing=0.5)
    check_views_are_the_loader_s(digits_dataset, augment, channels=1)


def test_mixed_views_are_those_that_the_run_took() -> None:
    dataset = many_classes(count=10, each=6)
    augment = Augment(crop_scale=(0.5, 1), color_jitter=0.2, mixup=0.4, cutmix=1.0)
    check_views_are_the_loader_s(dataset, augment, channels=3)


def test_a_run_that_began_with_smaller_images_says_so() -> None:
    assert early_sentence(to_json(Recipe(name="any"))) == ""
    early = to_json(Recipe(name="any", progressive_size=24, progressive_share=0.5))
    assert early_sentence(early) == (
        " For the first 50% of the run they were then scaled to 24 px."
    )


def test_plain_view_is_the_image(digits_dataset: Dataset) -> None:
    preprocess = Preprocess(img_size=8, resize_size=8, in_chans=1, mean=(0.3,), std=(0.4,))
    recipe = to_json(Recipe(name="any", augment=Augment(random_erasing=1.0)))
    rows = augmented_views(digits_dataset, recipe, preprocess.to_json(), 0)
    train = digits_dataset.splits["train"]
    first = int(train[digits_dataset.labels[train] == int(rows[0].name)][0])
    assert np.array_equal(np.asarray(decode(rows[0].original)), digits_dataset.images.read(first))
    assert rows[0].views[0] != rows[0].original
