"""Keep what inner modules put out while a network runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from reslab.analyze.view import watched
from reslab.errors import unknown


@contextlib.contextmanager
def kept_outputs(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Yield a dictionary that holds the last output of each named module once it has run.

    Args:
        network: what runs inside the `with` statement.
        names: modules as the state dictionary names them, e.g. ``stages.stage2.block1``.

    Raises:
        UsageError: the network has no module of that name.
    """
    modules = dict(network.named_modules())
    for name in names:
        if name not in modules:
            raise unknown("module", name, [known for known in modules if known])
    kept: dict[str, Tensor] = {}

    def keep(name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> None:
        kept[name] = output

    with watched({name: modules[name] for name in names}, keep):
        yield kept
