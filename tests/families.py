"""The cheapest network of each family: what the default tests try where all take minutes."""

from __future__ import annotations

import pytest

from reslab import networks

NAMES = networks.list_models()


def _one_a_family() -> set[str]:
    """Take the cheapest network of each family and kind of specification.

    They are found in the catalogue, so that a new family is tried by default.
    """
    cheapest: dict[tuple[str, str], str] = {}
    for name in sorted(NAMES, key=lambda n: networks.info(n).macs):
        entry = networks.entry(name)
        cheapest.setdefault((entry.family, entry.spec.kind), name)
    return set(cheapest.values())


ONE_A_FAMILY = _one_a_family()


def slow_unless(chosen, names=NAMES):
    """Networks as parameters; those that are not chosen run with the slow tests."""
    return [n if n in chosen else pytest.param(n, marks=pytest.mark.slow) for n in names]


EVERY = slow_unless(ONE_A_FAMILY)
