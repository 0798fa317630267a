"""What holds for the whole suite: one thread, no deadlines, a cache of its own."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("reslab", deadline=None, max_examples=30)
hypothesis.settings.load_profile("reslab")


def pytest_configure() -> None:
    # More threads than one only wait for each other on images of 8 pixels, and the tests run in
    # a process for each core; numerical tests are tried with more by this variable.
    torch.set_num_threads(int(os.environ.get("RESLAB_TEST_THREADS", "1")))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of commands that tests start
    # Under nohup closed terminals are ignored, also by the commands that tests start and end so.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_runtest_setup() -> None:
    # The same numbers whatever ran before, in this process or another.
    torch.manual_seed(0)


def pytest_collection_finish() -> None:
    # What was imported stays: no collection has to look through it again.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_cache(pytestconfig: pytest.Config) -> Iterator[None]:
    """Keep decoded images of tests out of the user's cache; children inherit it.

    Compiled kernels are kept between runs and shared by the processes that run tests: their
    names say what they were made of.
    """
    kept = os.environ.get("RESLAB_CACHE")
    with tempfile.TemporaryDirectory(prefix="reslab-cache-") as folder:
        if pytestconfig.pluginmanager.hasplugin("cacheprovider"):
            (Path(folder) / "kernels").symlink_to(pytestconfig.cache.mkdir("kernels"))
        os.environ["RESLAB_CACHE"] = folder
        yield
    if kept is None:
        del os.environ["RESLAB_CACHE"]
    else:
        os.environ["RESLAB_CACHE"] = kept
