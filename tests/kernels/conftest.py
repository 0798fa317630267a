"""The kernels as another environment has them, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from reslab.kernels import library


@pytest.fixture
def kernels_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """Return `kernels_with(NAME=value)`: look for the kernels anew with these variables.

    It returns what they run on; until the end of the test they are what was found.
    """

    def forget() -> None:
        library.load.cache_clear()
        library._find.cache_clear()

    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv(library.SWITCH, "1")

    def find(**environment: str) -> str:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        forget()
        return library.reason()

    yield find
    forget()
