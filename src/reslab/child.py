"""Python processes that work for this one: lines of JSON each way, and none outlives its parent.

A child is this file, run as a program with the name of a module; it calls the module's
``main(parent)``. Three things hold for every child:

- **No file of the working folder is ever imported.** It is started with ``-P``, its ``sys.path`` is
  its parent's without the working folder, and reslab itself is found by where it lies.
- **It ends when its parent ends**, however that happens, and so do the processes it has started:
  the end of its input, or another parent than the one that started it, kills its process group.
  (Linux's PR_SET_PDEATHSIG would be sent when the *thread* that started it ends, and is Linux's.)
- **What it prints goes to stderr**, so that nothing gets between the answers.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, Self

ALONE_EVERY_S = 1.0
PACKAGE = Path(__file__).resolve().parent
_LOG_BYTES = 1 << 16
_PACKAGES = ("site-packages", "dist-packages")


class Child:
    """A Python process that runs a module's ``main(parent)``; a context manager that ends it.

    Any one thread may talk to it at a time. It has a process group of its own: Ctrl-C reaches
    the parent alone.

    Args:
        module: full name of a module with ``main(parent: Parent) -> int``.
        environment: variables, instead of this process's.
        log: file that its stderr is appended to; None for one that only `last_words` reads.
        heard: let its stderr be this process's, instead.
        path: folders to import from before all others, besides those of this process.
        cwd: its working folder, instead of this process's.
    """

    def __init__(
        self,
        module: str,
        *,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        heard: bool = False,
        path: Sequence[Path] = (),
        cwd: Path | None = None,
    ) -> None:
        variables = dict(os.environ if environment is None else environment)
        # An empty entry of PYTHONPATH is the working folder: "export PYTHONPATH=$PYTHONPATH:/mine".
        variables["PYTHONPATH"] = os.pathsep.join(
            without_working_folder(variables.get("PYTHONPATH", "").split(os.pathsep))
        )
        if not variables["PYTHONPATH"]:
            del variables["PYTHONPATH"]
        places = [*map(str, path), *without_working_folder(sys.path)]
        beginning = json.dumps({"parent": os.getpid(), "path": places})
        self._log, self._said = None if heard else _log_file(log), ""
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve()), module, beginning],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=variables,
            cwd=cwd,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def send(self, value: Any) -> None:
        """Write a JSON value.

        Raises:
            ChildEnded: it is gone.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(value).encode("ascii") + b"\n")
            self.process.stdin.flush()
        except (OSError, ValueError):  # ValueError: closed here before
            raise ChildEnded(self.last_words()) from None

    def receive(self, timeout_s: float | None = None) -> Any:
        """Read the next JSON value.

        Args:
            timeout_s: how long to wait; the child is killed after that.

        Raises:
            ChildEnded: it is gone.
            TimeoutError: it took longer.
        """
        assert self.process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._signal_group(signal.SIGKILL)

        timer = None if timeout_s is None else threading.Timer(timeout_s, give_up)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            if timer is not None:
                timer.cancel()
        if line.endswith(b"\n"):
            return json.loads(line)
        if late.is_set():
            raise TimeoutError
        raise ChildEnded(self.last_words())

    def receive_into(self, buffer: memoryview) -> None:
        """Read as many bytes as the buffer holds.

        Raises:
            ChildEnded: it is gone.
        """
        assert self.process.stdout is not None
        count = 0
        while count < len(buffer):
            part = self.process.stdout.readinto(buffer[count:])  # type: ignore[attr-defined]
            if not part:
                raise ChildEnded(self.last_words())
            count += part

    def stop(self) -> None:
        """Ask it to save and end (SIGTERM)."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def end(self, *, within_s: float) -> None:
        """Wait until it has ended by itself; it is killed where it does not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(within_s)
        self.kill()

    def kill(self) -> None:
        """End it now, with all that it has started."""
        self._signal_group(signal.SIGKILL)
        self.process.wait()
        self._read_log()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError, ValueError):
                stream.close()

    def last_words(self, lines: int = 1) -> str:
        """Say why it has ended: the signal, or its exit code and the last lines of its stderr."""
        code = self.process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            memory = " (too little memory?)" if code == -signal.SIGKILL else ""
            return f"its process was ended by {name}{memory}"
        self._read_log()
        said = [line for line in self._said.splitlines() if line.strip()]
        words = "\n".join(said[-lines:]) or "it said nothing"
        return f"its process ended with code {code}: {words}"

    def _read_log(self) -> None:
        """Remember the end of what it said, and close the file."""
        if self._log is None or isinstance(self._log, int) or self._log.closed:
            return
        with self._log:
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - _LOG_BYTES))
            self._said = self._log.read().decode(errors="replace")

    def _signal_group(self, number: int) -> None:
        if self.process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, number)
            else:
                self.process.kill()


class ChildEnded(Exception):  # noqa: N818 - what happened, as the standard library's TimeoutExpired
    """A child is gone where it should have answered; the message is its last words."""


def without_working_folder(places: Sequence[str]) -> list[str]:
    """Return folders to import from as absolute paths, in their order, the working folder left out.

    Python's own folders and those of packages stay, wherever one stands.
    """
    try:
        here = os.getcwd()
    except OSError:  # it was deleted: nothing relative can be found either
        return [place for place in places if os.path.isabs(place)]
    whole = [os.path.join(here, place) for place in places]
    here = os.path.realpath(here)
    if here == os.path.realpath(os.path.dirname(os.__file__)) or here.endswith(_PACKAGES):
        return whole
    return [place for place in whole if os.path.realpath(place) != here]


def _log_file(log: Path | None) -> IO[bytes] | int:
    try:
        return tempfile.TemporaryFile() if log is None else open(log, "a+b")
    except OSError:  # nowhere to write: then it has no last words
        return subprocess.DEVNULL


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    heard: bool = True,
) -> tuple[int, str]:
    """Run a command that ends with this process, however that ends; its own children too.

    Args:
        argv: the command and its words.
        environment: variables, instead of this process's.
        cwd: its working folder.
        timeout_s: how long it may take; it is killed after that.
        heard: let its stderr be this process's; else it is dropped.

    Returns:
        Its exit code (127 where there is no such program) and what it wrote to stdout.

    Raises:
        ChildEnded: it was killed together with the process that runs it.
        TimeoutError: it took longer.
    """
    with Child("reslab.child", environment=environment, cwd=cwd, heard=heard) as child:
        child.send([str(word) for word in argv])
        answer = child.receive(timeout_s)
    return answer["code"], answer["stdout"]


def main(parent: Parent) -> int:
    """Run a command for `run`."""
    argv = parent.read()
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    except OSError as error:
        parent.write({"code": 127, "stdout": "", "error": str(error)})
    else:
        parent.write({"code": done.returncode, "stdout": done.stdout.decode(errors="replace")})
    return 0


def program(name: str) -> str | None:
    """Return the absolute path of a program; one that lies in the working folder is not taken.

    An empty entry of PATH is the working folder, too. A name with a slash is taken as it is.
    """
    if os.path.dirname(name):
        found = shutil.which(name)
    else:
        places = os.environ.get("PATH", os.defpath).split(os.pathsep)
        found = shutil.which(name, path=os.pathsep.join(without_working_folder(places)))
    return found and os.path.abspath(found)


class Parent:
    """The child's end of the line: what the parent wants next, and where the answers go.

    Args:
        commands: from the parent; its end ends this process.
        answers: to the parent.
        pid: the parent's number.
    """

    def __init__(self, commands: IO[bytes], answers: IO[bytes], pid: int) -> None:
        self._answers = answers
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(commands,), daemon=True).start()
        if os.name == "posix":  # a process that has inherited the pipe may keep it open
            threading.Thread(target=_watch, args=(pid,), daemon=True).start()

    def read(self) -> Any:
        """Return the next JSON value; waits for it."""
        return json.loads(self._lines.get())

    def __iter__(self) -> Iterator[Any]:
        """Yield all that is wanted; the end of this process is the end."""
        while True:
            yield self.read()

    def write(self, value: Any, then: memoryview | bytes = b"") -> None:
        """Answer a JSON value, and some bytes after its line."""
        self._answers.write(json.dumps(value).encode("ascii") + b"\n")
        self._answers.write(then)
        self._answers.flush()

    def _listen(self, commands: IO[bytes]) -> None:
        for line in commands:
            self._lines.put(line)
        end_all()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ALONE_EVERY_S)
    end_all()


def end_all() -> NoReturn:
    """End this process and those it has started; nobody is left to hear of anything."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _be_package() -> None:
    """Let ``import reslab`` find the package that this file is in, wherever that is."""
    spec = importlib.util.spec_from_file_location(
        "reslab", PACKAGE / "__init__.py", submodule_search_locations=[str(PACKAGE)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reslab"] = module
    spec.loader.exec_module(module)


def begin(name: str, beginning: Mapping[str, Any]) -> int:
    """Run a module's ``main`` for the parent; returns its exit code."""
    commands, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # whoever reads stdin must not take a command
    os.close(nothing)
    os.dup2(2, 1)
    sys.path[:] = beginning["path"]
    _be_package()
    parent = importlib.import_module("reslab.child").Parent(commands, answers, beginning["parent"])
    code: int = importlib.import_module(name).main(parent)
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(begin(sys.argv[1], json.loads(sys.argv[2])))
