"""A network as a graph of tensor operations, which compilers and other runtimes read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram, export

from reslab.predict.runtimes.prepared import Prepared
from reslab.predict.runtimes.runtime import Shape

MOST_IMAGES = 1 << 20


def exported(prepared: Prepared, shape: Shape) -> ExportedProgram:
    """Trace a prepared network for images of a size, in any number.

    Args:
        prepared: what is traced; it stays as it is.
        shape: of a batch; only its number of images may be another later.
    """
    # With a single image the number would be taken for a constant.
    images = torch.zeros(2, *shape[1:], device=next(prepared.parameters()).device)
    with torch.no_grad(), quiet():
        return export(prepared, (images,), dynamic_shapes=({0: Dim("batch", max=MOST_IMAGES)},))


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back warnings about how torch and its exporters work inside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
