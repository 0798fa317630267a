"""GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842)."""

from __future__ import annotations

from reslab.catalog.entry import Entry
from reslab.spec.googlenet import GoogLeNetSpec

SOURCE = "Szegedy et al. 2014, Going Deeper with Convolutions, table 1 and section 5"
LRN = (
    "the paper gives no constants of its local response normalisation: those of Caffe's GoogLeNet "
    "(window 5, alpha 1e-4 over the window's size, beta 0.75, k 1)"
)
SIZES = (
    "a global average before the classifier and, where the auxiliary classifiers' 5x5 windows "
    "of stride 3 do not make a 4x4 grid, windows that do: the same at the paper's 224 pixels, "
    "and other sizes work"
)
PARAMS = (
    "the parameters include the auxiliary classifiers' 6,379,728, which only training needs; "
    "the sum of table 1 does not, and its rows do not all agree with its own widths"
)

ENTRIES: tuple[Entry, ...] = (
    Entry(
        family="googlenet",
        spec=GoogLeNetSpec(name="googlenet", dropout=0.4),
        source=SOURCE,
        summary="as in the paper",
        paper={
            "params": 6.8e6,
            "macs": 1.5e9,
            "top5_error_pct": 10.07,
            "protocol": "ILSVRC 2014 validation, single model, single crop",
        },
        deviations=(LRN, SIZES, PARAMS),
    ),
    Entry(
        family="googlenet",
        spec=GoogLeNetSpec(
            name="googlenet_bn",
            dropout=0.2,
            norm="batch",
            large_kernel=3,
            last_pool=2,
            auxiliary_pool="adaptive",
        ),
        source=f"{SOURCE}, as changed in torchvision",
        summary="torchvision's",
        deviations=(
            "torchvision's network, after TF-slim: a batch norm behind every convolution instead "
            "of biases and local response normalisation",
            "3x3 convolutions where the paper has 5x5",
            "a last max pool of 2x2 instead of 3x3",
            "auxiliary classifiers behind adaptive pooling to 4x4 instead of 5x5 windows of "
            "stride 3",
            "20% dropout before the classifier instead of 40%",
        ),
    ),
    Entry(
        family="googlenet",
        spec=GoogLeNetSpec(name="googlenet_naive", dropout=0.4, module="naive"),
        source=f"{SOURCE}; modules of figure 2(a)",
        summary="naive modules",
        deviations=(
            "the paper draws the naive module and builds no network of it: table 1's widths of "
            "the 1x1, 3x3 and 5x5 convolutions, without the 1x1 reductions and without the "
            "projection behind the pool, which passes on all the channels it gets",
            LRN,
            SIZES,
        ),
    ),
)
