"""Networks as the contract tests take them."""

import functools
import re

import torch

from families import NAMES
from reslab import networks
from reslab.networks.network import build

# Minutes on meta, for nothing that their shallower brothers do not show.
DEEP = {name for name in NAMES if re.search(r"(plain|resnet)(101|110|152|164|200|1001|1202)", name)}


@functools.cache
def on_meta(name):
    """Build a network without memory; tests that change it take another."""
    with torch.device("meta"):
        return build(networks.entry(name).spec).eval()


def batch(spec, size, device=None, images=2):
    return torch.randn(images, spec.in_chans, size, size, device=device)


def small_size(network):
    """The least side at which batch norms of every map have several values to look at."""
    return max(32, network.min_size + 1)
