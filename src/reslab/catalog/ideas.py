"""Small networks that put one idea of the line into a plain network."""

from __future__ import annotations

from reslab.catalog.entry import Entry
from reslab.spec.ideas import HighwayCNNSpec, TwoLayerBlocksSpec

HIGHWAY_SOURCE = "reslab; the highway layer of Srivastava et al. 2015 (arXiv 1507.06228), section 2"
BLOCK_SOURCE = "reslab; the two-layer block a[l+2] = g(z[l+2] + a[l]) of the residual idea"
NOT_A_PAPERS = "not from a paper: widths, depths and pools are our own"
WITHOUT_NORM = "no batch norm, biases instead, where He et al. 2015 normalise every convolution"
CONVOLUTIONAL = "z = W a + b is a 3x3 convolution, so that any image size works"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        family="plain",
        spec=HighwayCNNSpec(name="plain_cnn10", num_classes=10, img_size=32, highway=False),
        source=HIGHWAY_SOURCE,
        summary="10 convolutions",
        deviations=(NOT_A_PAPERS, "the counterpart of highway_cnn without its highway layers"),
    ),
    Entry(
        family="highway",
        spec=HighwayCNNSpec(name="highway_cnn", num_classes=10, img_size=32, highway=True),
        source=HIGHWAY_SOURCE,
        summary="10 conv + highway",
        deviations=(
            NOT_A_PAPERS,
            "a highway layer behind each convolution of plain_cnn10, which doubles its depth",
        ),
    ),
    Entry(
        family="plain",
        spec=TwoLayerBlocksSpec(
            name="five_block_plain", num_classes=10, img_size=32, shortcut=False
        ),
        source=BLOCK_SOURCE,
        summary="5 blocks, no BN",
        deviations=(
            NOT_A_PAPERS,
            WITHOUT_NORM,
            CONVOLUTIONAL,
            "the counterpart of five_block_residual without its shortcuts",
        ),
    ),
    Entry(
        family="resnet",
        spec=TwoLayerBlocksSpec(
            name="five_block_residual", num_classes=10, img_size=32, shortcut=True
        ),
        source=BLOCK_SOURCE,
        summary="5 shortcuts, no BN",
        deviations=(NOT_A_PAPERS, WITHOUT_NORM, CONVOLUTIONAL),
    ),
)
