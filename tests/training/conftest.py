from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import Finished, resume_in, train_in


class Launcher:
    """Starts `reslab` commands as real processes, quickly."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("launcher.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _ask(self, order: dict) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(
        self,
        argv: list[str],
        log: Path,
        env: dict[str, str] | None = None,
        out: Path | None = None,
        cwd: Path | None = None,
    ) -> int:
        """Start a command; stderr goes into the log, stdout too unless it has a file."""
        order = {"argv": argv, "log": str(log), "env": env or {}, "out": out and str(out)}
        return self._ask(order | {"cwd": cwd and str(cwd)})

    def wait(self, pid: int) -> int:
        """Return the exit code; a signal that killed it is negative."""
        return self._ask({"wait": pid})

    def run(
        self,
        argv: list[str],
        log: Path,
        env: dict[str, str] | None = None,
        out: Path | None = None,
        cwd: Path | None = None,
    ) -> int:
        return self.wait(self.start(argv, log, env, out, cwd))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    started = Launcher()
    yield started
    started.close()


@pytest.fixture
def train(launcher: Launcher, tmp_path: Path) -> Callable[..., Finished]:
    """Return `train(data, *flags)`, which runs `reslab train` in the test's own folder."""

    def run(data: str | Path, *flags: str, env: dict[str, str] | None = None) -> Finished:
        return train_in(launcher, tmp_path, str(data), flags, env or {})

    return run


@pytest.fixture
def resume(launcher: Launcher, tmp_path: Path) -> Callable[..., Finished]:
    """Return `resume(run, *flags)`, which runs `reslab train --resume`."""

    def run(path: Path, *flags: str) -> Finished:
        return resume_in(launcher, tmp_path, path, flags)

    return run


@pytest.fixture(scope="session")
def digits_run(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a finished run of two epochs on digits, asked for JSON; only to be read."""
    folder = tmp_path_factory.mktemp("digits")
    return train_in(launcher, folder, "digits", ("--epochs", "2", "--json"), {}).succeeded()


@pytest.fixture
def copied_run(digits_run: Finished, tmp_path: Path) -> Path:
    """Return a copy of that run, which a test may change."""
    return Path(shutil.copytree(digits_run.path, tmp_path / "copy"))
