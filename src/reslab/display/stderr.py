"""Lines for people on stderr."""

from __future__ import annotations

import sys


def note(text: str) -> None:
    """Print a line for people on stderr, whatever its encoding."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    line = printable(text).encode(encoding, "backslashreplace").decode(encoding)
    print(line, file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Make text safe for a terminal: no control characters, no lone surrogates."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in safe)
