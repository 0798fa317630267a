"""A Keras tutorial's pre-activation network."""

from __future__ import annotations

from reslab.catalog.entry import Entry
from reslab.spec.keras_tutorial import KerasTutorialSpec

SOURCE = "A. Rosebrock, Keras ResNet tutorial (pyimagesearch), after the MXNet code of W. Wu"
FILTERS: dict[tuple[int, ...], tuple[int, ...]] = {
    (9, 9, 9): (64, 64, 128, 256),
    (3, 4, 6): (64, 128, 256, 512),
}
COMMON = (
    "puts out logits; the print ends in a softmax",
    "reg is the L2 factor of every layer; the print does not pass it on to its residual modules, "
    "which keep 1e-4 whatever is asked for",
    "running variances are those of torch, of n - 1 values; Keras' are of n",
    "images of another size than its own are averaged to as many 8x8 windows as those leave; "
    "Keras builds another classifier for each size",
)
CIFAR = (
    "the stem of the original code for CIFAR, a 3x3 convolution alone; the print has only the "
    "one for Tiny ImageNet, whose 4x4 map at 32 px is too small for the 8x8 pooling"
)


def _entry(stages: tuple[int, ...], *, cifar: bool) -> Entry:
    name = "_".join(["keras_preact", *map(str, stages)])
    return Entry(
        family="keras",
        spec=KerasTutorialSpec(
            name=f"{name}_cifar" if cifar else name,
            num_classes=10,
            img_size=32 if cifar else 64,
            stages=stages,
            filters=FILTERS[stages],
            stem="small" if cifar else "imagenet",
        ),
        source=SOURCE,
        summary="CIFAR stem" if cifar else "as printed, 64 px",
        deviations=(CIFAR, *COMMON) if cifar else COMMON,
    )


ENTRIES: tuple[Entry, ...] = tuple(
    _entry(stages, cifar=cifar) for cifar in (False, True) for stages in FILTERS
)
