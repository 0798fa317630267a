"""VGG A to E (Simonyan and Zisserman 2014, arXiv 1409.1556), and VGG with shortcuts."""

from __future__ import annotations

import dataclasses

from reslab.catalog.entry import Entry, Published
from reslab.spec.vgg import VggShortcut, VggSpec, VggStageSpec

SOURCE = (
    "Simonyan and Zisserman 2014, Very Deep Convolutional Networks for Large-Scale Image "
    "Recognition (arXiv 1409.1556), table 1"
)
WIDTHS = (64, 128, 256, 512, 512)
# Kernels of each stage.
PLANS: dict[str, tuple[tuple[int, ...], ...]] = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3),) * 5,
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
PROTOCOL = "ILSVRC 2012 validation, single model, dense, short side 256 in training and test"
START = (
    "weights begin as N(0, 2 / fan_in), the classifier's as N(0, 0.01^2); the paper starts A from "
    "N(0, 0.1^2) and the deeper networks from a trained A, and later found Glorot's to do"
)
GRID = (
    "images of other sizes are averaged to the 7x7 map that the fully-connected layers are meant "
    "for, instead of being cut to 224; eval's multi-scale views turn these layers into "
    "convolutions as the paper does"
)
NORM = "batch normalisation after each convolution, as in torchvision; the paper has none"
OPTIONS = {
    "A": "zero padding where the width changes (option A), so no further parameters",
    "B": "1x1 convolutions where the width changes (option B)",
}


def _spec(name: str, plan: str) -> VggSpec:
    stages = zip(WIDTHS, PLANS[plan], strict=True)
    return VggSpec(
        name=name,
        stages=tuple(VggStageSpec(width=width, kernels=kernels) for width, kernels in stages),
        dropout=0.5,
    )


def _entry(
    name: str, plan: str, summary: str, *, params: float, errors: tuple[float, float]
) -> Entry:
    paper: Published = {
        "error_pct": errors[0],
        "top5_error_pct": errors[1],
        "params": params,
        "protocol": PROTOCOL,
    }
    return Entry(
        family="vgg",
        spec=_spec(name, plan),
        source=SOURCE,
        summary=summary,
        paper=paper,
        deviations=(START, GRID),
    )


def _normalised(entry: Entry) -> Entry:
    assert isinstance(entry.spec, VggSpec)
    return dataclasses.replace(
        entry,
        spec=dataclasses.replace(entry.spec, name=f"{entry.name}_bn", batch_norm=True),
        summary=f"{entry.summary}, BN",
        paper={},
        deviations=(NORM, *entry.deviations),
    )


def _residual(name: str, plan: str, shortcut: VggShortcut) -> Entry:
    return Entry(
        family="vgg",
        spec=dataclasses.replace(_spec(name, plan), shortcut=shortcut),
        source=(
            f"reslab; {plan} of Simonyan and Zisserman 2014 (arXiv 1409.1556), with the "
            "shortcuts of He et al. 2015 (arXiv 1512.03385), section 3.3"
        ),
        summary=f"{plan}, shortcuts ({shortcut})",
        deviations=(
            "a shortcut around each pair of convolutions of a stage, or around all three, from "
            "the second stage on; the network is in neither paper",
            OPTIONS[shortcut],
            "no batch normalisation; the last convolution of each of the N branches begins at "
            "1 / N of the variance that is usual, so that the sums do not grow",
            GRID,
        ),
    )


A = _entry("vgg11", "A", "A: 11 layers", params=133e6, errors=(29.6, 10.4))
A_LRN = dataclasses.replace(
    _entry("vgg11_lrn", "A", "A with LRN", params=133e6, errors=(29.7, 10.5)),
    spec=dataclasses.replace(_spec("vgg11_lrn", "A"), lrn=True),
)
B = _entry("vgg13", "B", "B: 13 layers", params=133e6, errors=(28.7, 9.9))
C = _entry("vgg16_c", "C", "C: 1x1 layers", params=134e6, errors=(28.1, 9.4))
D = _entry("vgg16", "D", "D: 16 layers", params=138e6, errors=(27.0, 8.8))
E = _entry("vgg19", "E", "E: 19 layers", params=144e6, errors=(27.3, 9.0))

ENTRIES: tuple[Entry, ...] = (
    A,
    A_LRN,
    B,
    C,
    D,
    E,
    *(_normalised(entry) for entry in (A, B, C, D, E)),
    _residual("vgg16_residual", "D", "A"),
    _residual("vgg16_residual_b", "D", "B"),
    _residual("vgg19_residual", "E", "A"),
    _residual("vgg19_residual_b", "E", "B"),
)
