import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from make_run import digits, make_run

from reslab.data.dataset import Dataset


@pytest.fixture(scope="session")
def digits_dataset() -> Dataset:
    return digits()


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, digits_dataset: Dataset) -> Path:
    """A finished run on digits; only to be read."""
    return make_run(tmp_path_factory.mktemp("runs") / "digits-1", digits_dataset)


@pytest.fixture
def copy_of_run(finished_run: Path, tmp_path: Path) -> Callable[[], Path]:
    """Make copies of the finished run that a test may change."""

    def copy() -> Path:
        return Path(shutil.copytree(finished_run, tmp_path / "run"))

    return copy
