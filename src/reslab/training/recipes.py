"""The named recipes, as plain functions: what the data are in, every number out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from reslab.data.augment import Augment
from reslab.registry import Registry
from reslab.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Situation:
    """What a recipe may depend on.

    Args:
        num_train: images in the training split.
        img_size: side of the network's input, pixels.
        num_classes: classes.
        depth: layers with weights, where the network's family counts them; 0 otherwise.
        batch_norm: whether batch norms keep the scale of the network's maps.
        whitened: whether the network begins with a whitening convolution.
        pretrained: whether training starts from trained weights.
        deepened: whether these are of a shallower network that the same task was learnt with.
    """

    num_train: int
    img_size: int
    num_classes: int
    depth: int = 0
    batch_norm: bool = True
    whitened: bool = False
    pretrained: bool = False
    deepened: bool = False


MANY_IMAGES = 200_000
LEAST_TO_SHRINK = 24
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
        dropout=0.0,
        schedule="step",
        milestones=(0.5, 0.75),
        warmup_lr=0.01 if deep else 0.0,
        warmup_until_error_pct=80.0 if deep else 0.0,
        precision="fp32",
        normalization="pixel-mean",
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
        dropout=0.0,
        schedule="step",
        milestones=(1 / 3, 2 / 3),
        resize="crop",
        val_fraction=0.0,
        track_test=True,
        augment=Augment(
            crop_scale=((224 / 480) ** 2, (224 / 256) ** 2),
            crop_ratio=(1.0, 1.0),
            flip=True,
            pca_color=0.1,
        ),
    )


def keras_tutorial(situation: Situation) -> Recipe:
    """Train as users of the Keras tutorial's network do on CIFAR: 100 epochs of 128, rate 0.1.

    The L2 factor of 1e-4 that all its residual modules have adds 1e-4 times the sum of squares
    to the loss, which is a weight decay of 2e-4. Those users drop the rate by hand; here it drops
    after 50 and 75 epochs. They shift images by up to a tenth of the side and repeat the border;
    here the border is black.
    """
    return Recipe(
        name="keras-tutorial",
        epochs=100.0,
        batch_size=128,
        optimizer="sgd",
        lr=0.1,
        momentum=0.9,
        weight_decay=2 * 1e-4,
        schedule="step",
        milestones=(0.5, 0.75),
        precision="fp32",
        normalization="pixel-mean",
        val_fraction=0.0,
        track_test=True,
        augment=Augment(pad_crop=max(1, round(0.1 * situation.img_size)), flip=True),
    )


def small_images(situation: Situation) -> Recipe:
    """Train from scratch on small images or few photographs, quickly: one cycle, averaged weights.

    Images up to 48 px: SGD as for CIFAR, the first half at three quarters of the size where
    images and data are large enough for that to pay. Photographs: AdamW without smoothing,
    because a few hundred updates have to do, and mixed images, because a thousand photographs are
    soon known by heart; measured on 2,000 photographs of 100 px. Networks
    without batch norm learn with AdamW at a tenth of that rate and clipped gradients at any size:
    with the others they diverge or stay where they began.
    """
    recipe = _cifar_like(situation) if situation.img_size <= 48 else _photographs(situation)
    if situation.batch_norm:
        return recipe
    return dataclasses.replace(
        recipe, optimizer="adamw", lr=5e-4, nesterov=False, weight_decay=0.05, clip_grad_norm=5.0
    )


def _cifar_like(situation: Situation) -> Recipe:
    num_train = situation.num_train
    batch_size = _batch_size(num_train)
    early = situation.img_size >= LEAST_TO_SHRINK and num_train >= 5_000
    return Recipe(
        name="small-images",
        epochs=_epochs(num_train, images_seen=120_000, least=20, most=100),
        batch_size=batch_size,
        optimizer="sgd",
        lr=0.1 * batch_size / 64,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="one-cycle",
        label_smoothing=0.1,
        ema=0.99,
        clip_grad_norm=5.0,
        zero_init_residual=True,
        progressive_size=round(0.75 * situation.img_size) if early else 0,
        progressive_share=0.5 if early else 0.0,
        augment=Augment(
            pad_crop=max(1, round(situation.img_size / 8)), flip=situation.img_size > 16
        ),
    )


def _photographs(situation: Situation) -> Recipe:
    num_train = situation.num_train
    return Recipe(
        name="small-images",
        epochs=_epochs(num_train, images_seen=90_000, least=20, most=80),
        batch_size=max(16, _batch_size(num_train) // 2),
        optimizer="adamw",
        lr=4e-3,
        weight_decay=0.05,
        schedule="one-cycle",
        ema=0.99,
        progressive_size=round(0.75 * situation.img_size),
        progressive_share=0.5,
        augment=Augment(
            crop_scale=(0.35, 1.0), rotate=10, flip=True, color_jitter=0.2, mixup=0.2, cutmix=1.0
        ),
    )


def _batch_size(num_train: int) -> int:
    """Return a batch that leaves enough updates an epoch."""
    return 128 if num_train >= 5_000 else 64 if num_train >= 500 else 16


def _epochs(num_train: int, *, images_seen: int, least: int, most: int) -> float:
    """Return the epochs that show so many images in all, within limits."""
    return float(min(most, max(least, round(images_seen / num_train))))


def fast(situation: Situation) -> Recipe:
    """Reach a good accuracy on small images in a tenth of the usual work, or less.

    Networks behind a whitening convolution: after Jordan 2024 (arXiv 2404.00498). Other networks:
    as `small_images` in a third of its length, with images mirrored every other time.
    """
    if situation.whitened:
        return _whitened(situation)
    usual = small_images(situation)
    return dataclasses.replace(
        usual,
        name="fast",
        epochs=float(round(usual.epochs / 3)),
        augment=dataclasses.replace(usual.augment, alternating_flip=usual.augment.flip),
    )


def _whitened(situation: Situation) -> Recipe:
    num_train, img_size = situation.num_train, situation.img_size
    batch_size = 4 * _batch_size(num_train)
    early = img_size >= LEAST_TO_SHRINK
    # Muon's steps have one length whatever the gradient's; those of the rest grow with a batch.
    head_lr = 8.0 * batch_size / 512
    return Recipe(
        name="fast",
        epochs=_epochs(num_train, images_seen=400_000, least=6, most=40),
        batch_size=batch_size,
        optimizer="muon",
        lr=0.12,
        head_lr=head_lr,
        bias_lr=64 * head_lr,
        momentum=0.8,
        nesterov=True,
        weight_decay=0.12,
        schedule="cosine",
        label_smoothing=0.2,
        ema=0.95,
        progressive_size=round(0.75 * img_size) if early else 0,
        progressive_share=0.5 if early else 0.0,
        augment=Augment(
            pad_crop=max(1, round(img_size / 16)), flip=img_size > 16, alternating_flip=True
        ),
    )


def fine_tune(situation: Situation) -> Recipe:
    """Start from trained weights: short, gentle, cosine, all layers."""
    batch_size = _batch_size(situation.num_train)
    return Recipe(
        name="fine-tune",
        epochs=_epochs(situation.num_train, images_seen=20_000, least=5, most=30),
        batch_size=batch_size,
        optimizer="sgd",
        lr=0.01 * batch_size / 64,
        momentum=0.9,
        nesterov=True,
        weight_decay=1e-4,
        schedule="cosine",
        warmup_steps=20,
        label_smoothing=0.1,
        ema=0.98,
        clip_grad_norm=5.0,
        augment=Augment(crop_scale=(0.5, 1.0), flip=True),
    )


def deepened(situation: Situation) -> Recipe:
    """Train a deepened network on: as from scratch, half as long and at a fifth of the rate.

    The views stay those of training from scratch, for the task is the same; the rate is one at
    which the old layers follow the new ones instead of forgetting.
    """
    scratch = small_images(situation)
    return dataclasses.replace(
        scratch,
        name="deepened",
        epochs=max(5.0, round(scratch.epochs / 2)),
        lr=scratch.lr / 5,
        zero_init_residual=False,
        progressive_size=0,
        progressive_share=0.0,
    )


def choose(situation: Situation) -> tuple[str, str]:
    """Return the recipe that "auto" stands for, and why."""
    if situation.deepened:
        return "deepened", "a deepened network continues its task"
    if situation.pretrained:
        return "fine-tune", "training starts from trained weights"
    if situation.num_train >= MANY_IMAGES and situation.img_size >= 160:
        return "he2015-imagenet", f"{situation.num_train:,} images of {situation.img_size} px"
    return "small-images", (
        f"{situation.num_train:,} images of {situation.img_size} px, from scratch"
    )


RECIPES.register("he2015-cifar", he2015_cifar)
RECIPES.register("he2015-imagenet", he2015_imagenet)
RECIPES.register("keras-tutorial", keras_tutorial)
RECIPES.register("small-images", small_images)
RECIPES.register("fast", fast)
RECIPES.register("fine-tune", fine_tune)
RECIPES.register("deepened", deepened)
