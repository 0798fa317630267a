"""Which networks the contract tests try, and how much of each the default suite can afford."""

import functools
import re

import pytest
import torch

from reslab import catalog
from reslab.nn import build

NAMES = catalog.list_models()
# Minutes on meta, for nothing that their shallower brothers do not show.
DEEP = {name for name in NAMES if re.search(r"(plain|resnet)(101|110|152|164|200|1001|1202)", name)}


def _affordable(name: str) -> bool:
    cost = catalog.costs()[name]
    return cost.macs < 2e8 and cost.params < 3e6 and name not in DEEP


def _one_a_kind() -> list[str]:
    """Take the cheapest network of each kind of specification."""
    cheapest: dict[str, str] = {}
    for name in sorted(NAMES, key=lambda n: catalog.costs()[n].macs):
        cheapest.setdefault(catalog.entry(name).spec.kind, name)
    return sorted(cheapest.values())


SMALL = [name for name in NAMES if _affordable(name)]
ONE_A_KIND = _one_a_kind()


def slow_unless(chosen):
    """Every network as a parameter; those that are not chosen run with the slow tests."""
    marked = [n for n in NAMES if n not in chosen]
    return [
        *(n for n in NAMES if n in chosen),
        *(pytest.param(n, marks=pytest.mark.slow) for n in marked),
    ]


NOT_DEEP = slow_unless(set(NAMES) - DEEP)


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
