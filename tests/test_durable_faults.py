"""Every file-system call of a save fails in turn, or is the last one before a power cut.

As SQLite tests itself: the calls of one save are counted, then the save is repeated once per
call with a fault there. Run as a script, this file forks a process per call and kills it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reslab import durable
from reslab.errors import CheckpointError, MachineError

CALLS = ("open", "write", "fsync", "close", "rename", "mkdir", "unlink", "rmdir", "listdir")
LOOKS = ("stat", "lstat")
OLD = {"model.json": b"old", "weights": b"o" * 5000}
NEW = {"model.json": b"new!", "weights": b"n" * 7000}


class Disk:
    """Stand between the program and `os`: record the calls, and let one of them go wrong.

    Args:
        fault: what happens at the call numbered `at` (from 0), before it takes effect; a
            write takes half of its effect first, a close all of it.
        lasting: whether every later call goes wrong too.
    """

    def __init__(
        self, fault: Callable[[], None] | None = None, at: int = -1, *, lasting: bool = False
    ) -> None:
        self.fault, self.at, self.lasting = fault, at, lasting
        self.trace: list[tuple[str, str]] = []
        self._names: dict[int, str] = {}

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Disk]:
        real = {name: getattr(os, name) for name in CALLS + LOOKS}
        try:
            for name, function in real.items():
                setattr(os, name, self._wrap(name, function))
            yield self
        finally:
            for name, function in real.items():
                setattr(os, name, function)

    def _wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            number = len(self.trace)
            self.trace.append((name, self._name(args[0])))
            if self.fault and (number == self.at or (self.lasting and number > self.at >= 0)):
                if name == "write":
                    function(args[0], memoryview(args[1])[: len(args[1]) // 2])
                if name == "close":
                    function(*args)
                self.fault()
            result = function(*args, **options)
            if name == "open":
                self._names[result] = self._name(args[0])
            return result

        return call

    def _name(self, place: Any) -> str:
        if isinstance(place, int):
            return self._names.get(place, "?")
        return re.sub(r"\.[0-9a-f]{8}\.", ".*.", Path(os.fsdecode(place)).name)

    def effects(self) -> list[tuple[str, str]]:
        return [step for step in self.trace if step[0] not in (*LOOKS, "listdir", "close")]


@pytest.fixture
def parent() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of saves need no real disk."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as folder:
        (Path(folder) / "work").mkdir()
        yield Path(folder) / "work"


def fail(number: int) -> Callable[[], None]:
    def raise_it() -> None:
        raise OSError(number, os.strerror(number))

    return raise_it


def leftovers(parent: Path) -> list[str]:
    return [name for name in os.listdir(parent) if name.startswith(".")]


def count_calls(folder: Path, save: Callable[[], None]) -> int:
    with Disk()() as disk:
        save()
    return len(disk.trace)


def test_a_save_syncs_everything_before_it_shows_it(parent: Path) -> None:
    folder = parent / "model"
    durable.save_directory(folder, OLD)
    with Disk()() as disk:
        durable.save_directory(folder, NEW)
    *shown, last = disk.effects()
    assert last == ("rmdir", ".model.aside")
    assert [*shown[:-3], *sorted(shown[-3:])] == [
        ("mkdir", ".model.*.partial"),
        *[(c, "model.json") for c in ("open", "write", "fsync")],
        *[(c, "weights") for c in ("open", "write", "fsync")],
        *[(c, "manifest.json") for c in ("open", "write", "fsync")],
        *[(c, ".model.*.partial") for c in ("open", "fsync")],
        ("rename", "model"),
        ("rename", ".model.*.partial"),
        *[(c, parent.name) for c in ("open", "fsync")],
        *[("unlink", name) for name in ("manifest.json", "model.json", "weights")],
    ]


def test_a_file_and_a_new_parent_are_synced_before_they_are_shown(parent: Path) -> None:
    with Disk()() as disk:
        durable.write_file(parent / "run" / "status.json", b"1")
    assert disk.effects() == [
        ("mkdir", "run"),
        *[(c, parent.name) for c in ("open", "fsync")],
        *[(c, ".status.json.*.partial") for c in ("open", "write", "fsync")],
        ("rename", ".status.json.*.partial"),
        *[(c, "run") for c in ("open", "fsync")],
    ]


_audited: list[str] | None = None


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _audited is not None and event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"):
        _audited.append(event.removeprefix("os.").replace("remove", "unlink"))


def test_no_call_escapes_the_faults(parent: Path) -> None:
    """What the interpreter itself reports is what `Disk` saw, but for reading the manifest."""
    global _audited
    durable.save_directory(parent / "model", OLD)
    sys.addaudithook(_audit)
    with Disk()() as disk:
        _audited = []
        durable.save_directory(parent / "model", NEW)
        audited, _audited = _audited, None
    seen = [name for name, _ in disk.effects() if name not in ("write", "fsync")]
    assert sorted(audited) == sorted([*seen, "open"])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_an_error_at_any_call_leaves_the_old_or_the_new(parent: Path, number: int) -> None:
    folder = parent / "model"

    def save() -> None:
        durable.save_directory(folder, NEW)

    durable.save_directory(folder, OLD)
    calls = count_calls(folder, save)
    assert calls > 30
    failures = 0
    for at in range(calls):
        durable.save_directory(folder, OLD)
        open_before = os.listdir("/proc/self/fd") if sys.platform == "linux" else []
        with Disk(fail(number), at)():
            try:
                save()
                expected = NEW
            except (MachineError, CheckpointError):
                expected = OLD
                failures += 1
        assert durable.read_directory(folder) == expected, f"after a fault at call {at}"
        assert leftovers(parent) == [], f"after a fault at call {at}"
        if open_before:
            assert len(os.listdir("/proc/self/fd")) == len(open_before), f"leak at call {at}"
    assert failures > 20


def test_a_first_save_that_fails_leaves_nothing(parent: Path) -> None:
    def save(name: str) -> None:
        durable.save_directory(parent / name / "model", NEW)

    for at in range(count_calls(parent, lambda: save("count"))):
        with Disk(fail(errno.ENOSPC), at)():
            try:
                save(f"run{at}")
                saved = True
            except MachineError:
                saved = False
        assert (parent / f"run{at}" / "model").exists() == saved
        if (parent / f"run{at}").exists():
            assert leftovers(parent / f"run{at}") == []


def test_a_disk_that_fails_for_good_still_holds_one_whole_version(parent: Path) -> None:
    folder = parent / "model"
    durable.save_directory(folder, OLD)
    for at in range(count_calls(folder, lambda: durable.save_directory(folder, NEW))):
        durable.save_directory(folder, OLD)
        with Disk(fail(errno.EIO), at, lasting=True)(), contextlib.suppress(MachineError):
            durable.save_directory(folder, NEW)
        assert durable.read_directory(folder) in (OLD, NEW), f"after a fault at call {at}"
        durable.recover(parent)
        assert leftovers(parent) == []
        assert durable.read_directory(folder) in (OLD, NEW)


def test_a_file_that_fails_is_the_old_or_the_new(parent: Path) -> None:
    path = parent / "status.json"
    for at in range(count_calls(path, lambda: durable.write_file(path, b"new!"))):
        path.write_bytes(b"old")
        with Disk(fail(errno.ENOSPC), at)(), contextlib.suppress(MachineError):
            durable.write_file(path, b"new!")
        assert path.read_bytes() in (b"old", b"new!")
        assert leftovers(parent) == []


def test_an_interrupt_in_a_save_is_passed_on_and_leaves_the_old(parent: Path) -> None:
    folder = parent / "model"

    def interrupt() -> None:
        raise KeyboardInterrupt

    durable.save_directory(folder, OLD)
    with Disk()() as disk:
        durable.save_directory(folder, NEW)
    last = disk.trace.index(("rename", ".model.*.partial"))
    for at in range(last):
        durable.save_directory(folder, OLD)
        with Disk(interrupt, at)(), pytest.raises(KeyboardInterrupt):
            durable.save_directory(folder, NEW)
        assert durable.read_directory(folder) == OLD
        assert leftovers(parent) == []


def test_a_kill_at_any_call_leaves_the_old_or_the_new(parent: Path) -> None:
    import subprocess

    command = [sys.executable, "-W", "error", __file__, str(parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    killed, versions = done.stdout.split(maxsplit=1)
    assert int(killed) > 30
    assert versions.strip() == "new old"


def _die() -> None:
    os._exit(9)


def _save_and_die_at(folder: Path, at: int) -> bool:
    """Fork a process that saves NEW and dies at a call; tell whether it got there."""
    child = os.fork()
    if child == 0:
        with Disk(_die, at)():
            durable.save_directory(folder, NEW)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def kill_everywhere(parent: Path) -> None:
    folder = parent / "model"
    seen: set[str] = set()
    draw = random.Random(3)
    at = 0
    while True:
        durable.save_directory(folder, OLD)
        killed = _save_and_die_at(folder, at)
        for _ in range(draw.randrange(3)):  # it may be killed again before anyone tidies up
            _save_and_die_at(folder, draw.randrange(60))
        files = durable.read_directory(folder)
        assert files in (OLD, NEW), f"after a kill at call {at}: {files}"
        seen.add("old" if files == OLD else "new")
        durable.recover(parent)
        assert durable.read_directory(folder) == files, f"recover after a kill at call {at}"
        assert leftovers(parent) == [], f"after a kill at call {at}"
        if not killed:
            break
        at += 1
    print(at, *sorted(seen))


if __name__ == "__main__":
    kill_everywhere(Path(sys.argv[1]))
