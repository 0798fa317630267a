"""Python processes that work for this one: lines of JSON each way, and none outlives its parent.

A child is child_program.py, run with the name of a module; it calls the module's
``main(parent)``. Both ends ``send`` and ``recv``; a line is one of

- ``{"value": ...}``: any JSON value, which ``recv`` returns;
- ``{"error": {"kind": ..., "message": ..., "remedy": ...}}``: from a child, a ReslabError, which
  the parent's ``recv`` raises. It is what ``main`` raises, or what `Parent.send_error` is given
  where the child has more to do.

Raw bytes may follow a child's line, as many as the parent expects (`Child.recv_into`).

Three things hold for every child:

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

from reslab.errors import ReslabError, StoppedError
from reslab.import_path import without_working_folder

ALONE_EVERY_S = 1.0
_PROGRAM = Path(__file__).resolve().with_name("child_program.py")
_LOG_BYTES = 1 << 16


class Child:
    """A Python process that runs a module's ``main(parent)``; a context manager that ends it.

    One thread may send and one may receive at a time. It has a process group of its own: Ctrl-C
    reaches the parent alone.

    Args:
        module: full name of a module with ``main(parent: Parent) -> int``.
        environment: variables, instead of this process's.
        log: file that its stderr is appended to; None for one that only `exit_reason` reads.
        inherit_stderr: let its stderr be this process's, instead.
        path: folders to import from before all others, besides those of this process.
        cwd: its working folder, instead of this process's.
    """

    def __init__(
        self,
        module: str,
        *,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        inherit_stderr: bool = False,
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
        self._log, self._stderr_tail = None if inherit_stderr else _log_file(log), ""
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM), module, beginning],
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
            self.process.stdin.write(_line({"value": value}))
            self.process.stdin.flush()
        except (OSError, ValueError):  # ValueError: closed here before
            raise self._ended() from None

    def recv(self, timeout_s: float | None = None) -> Any:
        """Return the next JSON value.

        Args:
            timeout_s: how long to wait; the child is killed after that.

        Raises:
            ChildEnded: it is gone.
            TimeoutError: it took longer.
            ReslabError: what the child has raised, of the same class.
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
        if line.endswith(b"\n"):  # else it was killed half way through
            return _opened(json.loads(line))
        if late.is_set():
            raise TimeoutError
        raise self._ended()

    def recv_into(self, buffer: memoryview) -> None:
        """Read as many bytes as the buffer holds.

        Raises:
            ChildEnded: it is gone.
        """
        assert self.process.stdout is not None
        count = 0
        while count < len(buffer):
            part = self.process.stdout.readinto(buffer[count:])  # type: ignore[attr-defined]
            if not part:
                raise self._ended()
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

    @property
    def exit_code(self) -> int:
        """Its exit code, or minus the signal that ended it; waits for its end."""
        return self.process.wait()

    def exit_reason(self, lines: int = 1) -> str:
        """Say why it has ended: the signal, or its exit code and the last lines of its stderr."""
        code = self.exit_code
        if code < 0:
            name = signal.Signals(-code).name
            memory = " (too little memory?)" if code == -signal.SIGKILL else ""
            return f"its process was ended by {name}{memory}"
        self._read_log()
        printed = [line for line in self._stderr_tail.splitlines() if line.strip()]
        words = "\n".join(printed[-lines:]) or "it said nothing"
        return f"its process ended with code {code}: {words}"

    def _ended(self) -> ChildEnded:
        return ChildEnded(self.exit_reason(), exit_code=self.exit_code)

    def _read_log(self) -> None:
        """Keep the end of what it printed, and close the file."""
        if self._log is None or isinstance(self._log, int) or self._log.closed:
            return
        with self._log:
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - _LOG_BYTES))
            self._stderr_tail = self._log.read().decode(errors="replace")

    def _signal_group(self, number: int) -> None:
        if self.process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, number)
            else:
                self.process.kill()


class ChildEnded(Exception):  # noqa: N818 - what happened, as the standard library's TimeoutExpired
    """A child is gone where it should have answered.

    Args:
        reason: why, as `Child.exit_reason` says it.
        exit_code: its exit code, or minus the signal that ended it.
    """

    def __init__(self, reason: str, *, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode("ascii") + b"\n"


def _opened(line: Mapping[str, Any]) -> Any:
    """Return the value of a line, or raise its error."""
    if "error" in line:
        told = line["error"]
        kinds = {kind.__name__: kind for kind in _kinds_below(ReslabError)}
        # A class that only the child has loaded is none that the parent could tell apart.
        raise kinds.get(told["kind"], ReslabError)(told["message"], remedy=told["remedy"])
    return line["value"]


def _kinds_below(kind: type[ReslabError]) -> Iterator[type[ReslabError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds_below(narrower)


def _log_file(log: Path | None) -> IO[bytes] | int:
    try:
        return tempfile.TemporaryFile() if log is None else open(log, "a+b")
    except OSError:  # nowhere to write: then only its exit code is known
        return subprocess.DEVNULL


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    inherit_stderr: bool = True,
) -> tuple[int, str]:
    """Run a command that ends with this process, however that ends; its own children too.

    Args:
        argv: the command and its words.
        environment: variables, instead of this process's.
        cwd: its working folder.
        timeout_s: how long it may take; it is killed after that.
        inherit_stderr: let its stderr be this process's; else it is dropped.

    Returns:
        Its exit code (127 where there is no such program) and what it wrote to stdout.

    Raises:
        ChildEnded: it was killed together with the process that runs it.
        TimeoutError: it took longer.
    """
    with Child(
        "reslab.child", environment=environment, cwd=cwd, inherit_stderr=inherit_stderr
    ) as child:
        child.send([str(word) for word in argv])
        answer = child.recv(timeout_s)
    return answer["code"], answer["stdout"]


def main(parent: Parent) -> int:
    """Run a command for `run`."""
    argv = parent.recv()
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    except OSError as error:
        parent.send({"code": 127, "stdout": "", "error": str(error)})
    else:
        parent.send({"code": done.returncode, "stdout": done.stdout.decode(errors="replace")})
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
    """The child's end: what the parent wants next, and where the answers go.

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

    def recv(self) -> Any:
        """Return the next JSON value; waits for it."""
        return _opened(json.loads(self._lines.get()))

    def __iter__(self) -> Iterator[Any]:
        """Yield all that is wanted; the end of this process is the end."""
        while True:
            yield self.recv()

    def send(self, value: Any, payload: memoryview | bytes = b"") -> None:
        """Write a JSON value, and some bytes after its line."""
        self._write({"value": value}, payload)

    def send_error(self, error: ReslabError) -> None:
        """Let the parent's `Child.recv` raise an error."""
        kind = type(error).__name__
        told = {"kind": kind, "message": error.message, "remedy": error.remedy}
        self._write({"error": told}, b"")

    def _write(self, content: Mapping[str, Any], payload: memoryview | bytes) -> None:
        self._answers.write(_line(content))
        self._answers.write(payload)
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
    """End this process and those it has started; nobody is left who waits for them."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def begin(name: str, parent: int) -> int:
    """Run a module's ``main`` for the parent; returns its exit code."""
    commands, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # whoever reads stdin must not take a command
    os.close(nothing)
    os.dup2(2, 1)
    channel = Parent(commands, answers, parent)
    try:
        code: int = importlib.import_module(name).main(channel)
    except StoppedError as error:  # by a signal of the parent's, or of the system's
        code = error.exit_code
    except ReslabError as error:
        channel.send_error(error)
        sys.stderr.write(f"{type(error).__name__}: {error}\n")  # for whoever reads the log
        code = error.exit_code
    sys.stdout.flush()
    return code
