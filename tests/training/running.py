"""Runs of the real command, and what they left behind."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

FAST = ("--img-size", "8", "--precision", "fp32", "--device", "cpu", "--batch-size", "128")


@dataclasses.dataclass(frozen=True)
class Finished:
    """A command that has ended.

    Args:
        path: the run directory it was given.
        code: its exit code.
        err: what it printed on stderr.
        out: what it printed on stdout.
    """

    path: Path
    code: int
    err: str
    out: str

    def read(self, name: str) -> Any:
        """Return one of the run's JSON files."""
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def rows(self) -> list[dict[str, str]]:
        """Return the rows of results.csv."""
        with open(self.path / "results.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def succeeded(self) -> Finished:
        """Return this, or show why the command failed."""
        assert self.code == 0, self.err
        return self

    def refused(self, code: int, *words: str) -> None:
        """Assert that the command failed with one line that holds the words."""
        assert self.code == code, self.err
        last = self.err.splitlines()[-1]
        assert last.startswith("reslab: ")
        assert "Traceback" not in self.err
        assert not self.out
        for word in words:
            assert word in last, last


def run_command(launcher: Any, folder: Path, words: list[str], env: dict[str, str]) -> tuple:
    """Run `reslab WORDS` and return exit code, stderr and stdout."""
    number = len(list(folder.glob("*.err")))
    err, out = folder / f"{number}.err", folder / f"{number}.out"
    code = launcher.run(words, err, env, out)
    return code, err.read_text(encoding="utf-8"), out.read_text(encoding="utf-8")


def train_in(
    launcher: Any, folder: Path, data: str, flags: tuple[str, ...], env: dict[str, str]
) -> Finished:
    """Run `reslab train DATA --out FOLDER/run FLAGS` unless the flags name another place."""
    path = folder / "run"
    words = ["train", data, *FAST, *flags]
    if "--out" not in flags:
        words += ["--out", str(path)]
    return Finished(path, *run_command(launcher, folder, words, env))


def resume_in(launcher: Any, folder: Path, run: Path, flags: tuple[str, ...]) -> Finished:
    """Run `reslab train --resume RUN FLAGS`."""
    words = ["train", "--resume", str(run), *flags]
    return Finished(run, *run_command(launcher, folder, words, {}))
