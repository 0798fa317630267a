"""The first layers: from the image to the first feature maps."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from reslab.nn.blocks import conv
from reslab.spec import StemSpec


def make_stem(spec: StemSpec, in_chans: int) -> nn.Sequential:
    """stem(x) = relu(BN(W x)), the paper's conv1.

    The max pool that may follow is not here: as in Table 1 of He et al. 2015 it opens the
    first stage, so that the stem's output is the map of the highest resolution.
    """
    return nn.Sequential(
        OrderedDict(
            conv=conv(in_chans, spec.width, spec.kernel, spec.stride),
            norm=nn.BatchNorm2d(spec.width),
            act=nn.ReLU(),
        )
    )


def make_pool() -> nn.MaxPool2d:
    """Halve the maps: the 3x3 max pool of stride 2 that opens conv2_x."""
    return nn.MaxPool2d(3, stride=2, padding=1)
