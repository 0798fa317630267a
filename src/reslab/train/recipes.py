"""The named recipes, as plain functions: what the data are in, every number out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from reslab.data.augment import Augment
from reslab.registry import Registry
from reslab.train.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Situation:
    """What a recipe may depend on.

    Args:
        num_train: images in the training split.
        img_size: side of the network's input, pixels.
        num_classes: classes.
        depth: layers with weights, where the network's family counts them; 0 otherwise.
        pretrained: whether training starts from trained weights.
        time_limited: whether a time budget sets the length.
    """

    num_train: int
    img_size: int
    num_classes: int
    depth: int = 0
    pretrained: bool = False
    time_limited: bool = False


RECIPES: Registry[Callable[[Situation], Recipe]] = Registry("recipe")


def he2015_cifar(situation: Situation) -> Recipe:
    """He et al. 2015, section 4.2: 64k steps of 128, 0.1 divided at 32k and 48k.

    Trained on the whole training set; the test curve is recorded as in Figure 6 and decides
    nothing. Networks of 110 layers and more warm up at 0.01 until the error is below 80%.
    """
    deep = situation.depth >= 110
    return Recipe(
        name="he2015-cifar",
        steps=64_000,
        batch_size=128,
        optimizer="sgd",
        lr=0.1,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="step",
        milestones=(0.5, 0.75),
        warmup_lr=0.01 if deep else 0.0,
        warmup_until_error_pct=80.0 if deep else 0.0,
        precision="fp32",
        normalisation="pixel-mean",
        val_fraction=0.0,
        track_test=True,
        augment=Augment(pad_crop=4, flip=True),
    )


def he2015_imagenet(situation: Situation) -> Recipe:
    """He et al. 2015, section 3.4: 600k steps of 256, 0.1 divided by ten twice.

    The paper divides "when the error plateaus" and samples the short side from [256, 480];
    here the drops stand at the epochs its successor gives (arXiv 1603.05027: 30 and 60 of 90),
    stretched to 120, and the scale of the crop is drawn from the matching range of areas.
    """
    return Recipe(
        name="he2015-imagenet",
        steps=600_000,
        batch_size=256,
        optimizer="sgd",
        lr=0.1,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="step",
        milestones=(1 / 3, 2 / 3),
        resize="crop",
        val_fraction=0.0,
        track_test=True,
        augment=Augment(
            crop_scale=((224 / 480) ** 2, (224 / 256) ** 2),
            crop_ratio=(1.0, 1.0),
            flip=True,
            pca_colour=0.1,
        ),
    )


def small_images(situation: Situation) -> Recipe:
    """Train from scratch on small or few images, quickly: one cycle, averaged weights."""
    small = situation.img_size <= 48
    few = situation.num_train < 20_000
    batch_size = 128 if situation.num_train >= 5_000 else (64 if situation.num_train >= 500 else 16)
    seen = 120_000 if few else 20 * situation.num_train
    epochs = min(100.0 if small else 30.0, max(10.0, seen / situation.num_train))
    pad = max(1, round(situation.img_size / 8))
    views = (
        Augment(pad_crop=pad, flip=situation.img_size > 16)
        if small
        else Augment(crop_scale=(0.5, 1.0), crop_ratio=(4 / 5, 5 / 4), flip=True)
    )
    return Recipe(
        name="small-images",
        epochs=round(epochs),
        batch_size=batch_size,
        optimizer="sgd",
        lr=0.1 * batch_size / 64,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="one-cycle",
        smoothing=0.1,
        ema=0.99,
        clip=5.0,
        zero_last_scale=True,
        augment=views,
    )


def fine_tune(situation: Situation) -> Recipe:
    """Start from trained weights: short, gentle, cosine, all layers."""
    batch_size = 64 if situation.num_train >= 500 else 16
    return Recipe(
        name="fine-tune",
        epochs=round(min(30.0, max(5.0, 20_000 / situation.num_train))),
        batch_size=batch_size,
        optimizer="sgd",
        lr=0.01 * batch_size / 64,
        momentum=0.9,
        nesterov=True,
        weight_decay=1e-4,
        schedule="cosine",
        warmup_steps=20,
        smoothing=0.1,
        ema=0.98,
        clip=5.0,
        augment=Augment(crop_scale=(0.5, 1.0), flip=True),
    )


def choose(situation: Situation) -> tuple[str, str]:
    """Return the recipe that "auto" stands for, and why."""
    if situation.pretrained:
        return "fine-tune", "training starts from trained weights"
    if situation.num_train >= 200_000 and situation.img_size >= 160:
        return "he2015-imagenet", f"{situation.num_train:,} images of {situation.img_size} px"
    return "small-images", (
        f"{situation.num_train:,} images of {situation.img_size} px, from scratch"
    )


RECIPES.register("he2015-cifar", he2015_cifar)
RECIPES.register("he2015-imagenet", he2015_imagenet)
RECIPES.register("small-images", small_images)
RECIPES.register("fine-tune", fine_tune)
