"""From a specification to a network: the one door to every builder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from reslab.errors import UsageError
from reslab.nn.network import Network, too_small
from reslab.spec import NetworkSpec

SpecT = TypeVar("SpecT", bound=NetworkSpec)
_BUILDERS: dict[type[NetworkSpec], Callable[[Any], Network]] = {}


def builds(
    spec_type: type[SpecT],
) -> Callable[[Callable[[SpecT], Network]], Callable[[SpecT], Network]]:
    """Register the function that turns one type of specification into a network."""

    def register(builder: Callable[[SpecT], Network]) -> Callable[[SpecT], Network]:
        assert spec_type not in _BUILDERS, f"{spec_type.__name__} has two builders"
        _BUILDERS[spec_type] = builder
        return builder

    return register


def build(spec: NetworkSpec) -> Network:
    """Turn a specification into a newly initialised network, in training mode.

    Under ``with torch.device("meta")`` it takes no memory and no time.

    Raises:
        UsageError: the specification's image size is less than the network can take.
    """
    assert type(spec) in _BUILDERS, f"no builder for {type(spec).__name__}"
    network = _BUILDERS[type(spec)](spec)
    if spec.img_size < network.min_size:
        received = f"{spec.img_size}x{spec.img_size}"
        raise too_small(spec, received, network.min_size, small_stem=_fits_small_stem(spec))
    return network


def _fits_small_stem(spec: NetworkSpec) -> bool:
    """Tell whether the network takes its image size with the stem for small images."""
    try:
        small = spec.with_stem("small")
    except UsageError:  # it has only one stem
        return False
    with torch.device("meta"):
        return _BUILDERS[type(small)](small).min_size <= spec.img_size
