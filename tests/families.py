"""The cheapest network of each family: what the default tests try where all take minutes."""

from __future__ import annotations

import pytest

from reslab import networks

NAMES = networks.list_models()


MOST_MACS = 2e9  # of a network that stands for a kind of specification alone


def _one_a_family() -> set[str]:
    """Take the cheapest network of each family, and of each kind of specification without one.

    They are found in the catalog, so that a new family is tried by default. A kind whose cheapest
    network is large (Inception v4, beside its small form) is left to the slow tests.
    """
    by_cost = sorted(NAMES, key=lambda n: networks.info(n).macs)
    families: dict[str, str] = {}
    for name in by_cost:
        families.setdefault(networks.entry(name).family, name)
    kinds = {networks.entry(name).spec.kind: name for name in families.values()}
    for name in by_cost:
        if networks.info(name).macs <= MOST_MACS:
            kinds.setdefault(networks.entry(name).spec.kind, name)
    return {*families.values(), *kinds.values()}


ONE_A_FAMILY = _one_a_family()


def slow_unless(chosen, names=NAMES):
    """Networks as parameters; those that are not chosen run with the slow tests."""
    return [n if n in chosen else pytest.param(n, marks=pytest.mark.slow) for n in names]


EVERY = slow_unless(ONE_A_FAMILY)
