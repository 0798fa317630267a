"""What holds for the whole suite: one thread, no deadlines, a cache of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("reslab", deadline=None, max_examples=30)
hypothesis.settings.load_profile("reslab")


def pytest_configure() -> None:
    # More threads than one only wait for each other on images of 8 pixels.
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_cache() -> Iterator[None]:
    """Keep decoded images of tests out of the user's cache; children inherit it."""
    kept = os.environ.get("RESLAB_CACHE")
    with tempfile.TemporaryDirectory(prefix="reslab-cache-") as folder:
        os.environ["RESLAB_CACHE"] = folder
        yield
    if kept is None:
        del os.environ["RESLAB_CACHE"]
    else:
        os.environ["RESLAB_CACHE"] = kept
