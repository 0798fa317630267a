"""Which networks the contract tests try: the cheapest of each family by default, all with slow."""

import functools
import re

import pytest
import torch

from reslab import catalog
from reslab.nn import build

NAMES = catalog.list_models()
# Minutes on meta, for nothing that their shallower brothers do not show.
DEEP = {name for name in NAMES if re.search(r"(plain|resnet)(101|110|152|164|200|1001|1202)", name)}


def _one_a_family() -> set[str]:
    """Take the cheapest network of each family and kind of specification.

    They are found in the catalogue, so that a new family has its contracts tried by default.
    """
    cheapest: dict[tuple[str, str], str] = {}
    for name in sorted(NAMES, key=lambda n: catalog.costs()[n].macs):
        entry = catalog.entry(name)
        cheapest.setdefault((entry.family, entry.spec.kind), name)
    return set(cheapest.values())


ONE_A_FAMILY = _one_a_family()


def slow_unless(chosen):
    """Every network as a parameter; those that are not chosen run with the slow tests."""
    marked = [n for n in NAMES if n not in chosen]
    return [
        *(n for n in NAMES if n in chosen),
        *(pytest.param(n, marks=pytest.mark.slow) for n in marked),
    ]


EVERY = slow_unless(ONE_A_FAMILY)


@functools.cache
def on_meta(name):
    """Build a network without memory; tests that change it take another."""
    with torch.device("meta"):
        return build(catalog.entry(name).spec).eval()


def batch(spec, size, device=None, images=2):
    return torch.randn(images, spec.in_chans, size, size, device=device)


def small_size(network):
    """The least side at which batch norms of every map have several values to look at."""
    return max(32, network.min_size + 1)
