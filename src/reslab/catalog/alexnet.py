"""AlexNet (Krizhevsky, Sutskever and Hinton 2012)."""

from __future__ import annotations

from reslab.catalog.entry import Entry
from reslab.spec.alexnet import AlexNetSpec, ConvolutionSpec

GRID = (
    "images of other sizes are averaged to the 6x6 map that the fully-connected layers are meant "
    "for, instead of being refused"
)
PADDING = (
    "the first convolution pads by 2, so that an image of 224 pixels leaves the 55x55 map that "
    "the paper computes; without padding it takes 227"
)
RANGE = (
    "inputs have about unit variance, the paper's reach from -128 to 128: with the same weights "
    "at the start, what the first layer puts out begins about 60 times smaller"
)

ENTRIES: tuple[Entry, ...] = (
    Entry(
        family="alexnet",
        spec=AlexNetSpec(
            name="alexnet",
            convolutions=(
                ConvolutionSpec(width=96, kernel=11, stride=4, padding=2),
                ConvolutionSpec(width=256, kernel=5, padding=2, groups=2),
                ConvolutionSpec(width=384),
                ConvolutionSpec(width=384, groups=2),
                ConvolutionSpec(width=256, groups=2),
            ),
            dropout=0.5,
        ),
        source=(
            "Krizhevsky, Sutskever and Hinton 2012, ImageNet Classification with Deep "
            "Convolutional Neural Networks, section 3"
        ),
        summary="two groups, LRN",
        paper={
            "error_pct": 40.7,
            "top5_error_pct": 18.2,
            "params": 60e6,
            "protocol": "ILSVRC 2012 validation, single model, 10-crop",
        },
        deviations=(PADDING, RANGE, GRID),
    ),
    Entry(
        family="alexnet",
        spec=AlexNetSpec(
            name="alexnet_owt",
            convolutions=(
                ConvolutionSpec(width=64, kernel=11, stride=4, padding=2),
                ConvolutionSpec(width=192, kernel=5, padding=2),
                ConvolutionSpec(width=384),
                ConvolutionSpec(width=256),
                ConvolutionSpec(width=256),
            ),
            lrn=False,
            initialisation="he",
            dropout=0.5,
        ),
        source=(
            "Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks "
            "(arXiv 1404.5997), footnote 1, as in torchvision"
        ),
        summary="one tower, no LRN",
        deviations=(
            "256 channels in the fourth convolution and no local response normalisation, as in "
            "torchvision; the paper's footnote says 384, the author's release 256",
            "dropout on what the hidden fully-connected layers put out, as in 2012; torchvision "
            "drops what goes into them",
            "weights begin as N(0, 2 / fan_in), the classifier's as N(0, 0.01^2)",
            GRID,
        ),
    ),
)
