"""The three standard streams as a command finds them: closed, full, narrow, or with a reader gone.

What a command answers goes to stdout, and where that cannot be written the command fails. What it
says on the way goes to stderr, and where that cannot be written the work is still done: a run of
hours must not end because the terminal that watched it was closed.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class Unheard:
    """A stream for what is said on the way: an error while writing is no error of the command.

    Args:
        stream: where it goes as long as it can be written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or let the rest go nowhere from now on."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def open_missing() -> None:
    """Open the null device in place of a standard stream that is closed (`>&-`, cron, daemons).

    Without it the first file that is opened would get the stream's number, and whatever a library
    says would be written into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        # The lowest free number is taken, which is this one. Others must inherit it too.
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


@contextlib.contextmanager
def usable() -> Iterator[None]:
    """Make stdout and stderr show any name, and stderr forgiving, for a while.

    A character that the encoding lacks is written as its escape, \\xe9 or \\u65e5.
    """
    kept = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        stdout, stderr = (
            stack.enter_context(open(os.devnull, "w", encoding="utf-8")) if one is None else one
            for one in kept
        )
        for stream in (stdout, stderr):
            if isinstance(stream, io.TextIOWrapper):
                stack.callback(_set_errors, stream, stream.errors)
                _set_errors(stream, "backslashreplace")
        sys.stdout, sys.stderr = stdout, cast(TextIO, Unheard(stderr))
        try:
            yield
        finally:
            sys.stdout, sys.stderr = kept


def _set_errors(stream: io.TextIOWrapper, errors: str | None) -> None:
    with contextlib.suppress(OSError, ValueError):  # it cannot be flushed, or is closed
        stream.reconfigure(errors=errors)


def discard(stream: TextIO) -> None:
    """Let the rest of a stream go nowhere: when Python ends, it would try once more to write it."""
    with contextlib.suppress(OSError, ValueError):  # a stream that is no file, or closed
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def shows(text: str) -> bool:
    """Tell whether stdout has every character of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
