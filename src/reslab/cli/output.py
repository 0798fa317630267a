"""What commands print: data on stdout, notes on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from reslab.cli.streams import shows


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    _write(value, indent=2)


def emit_line(value: Any) -> None:
    """Print one JSON value on a line of its own, at once."""
    _write(value, indent=None)
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a line for people on stderr."""
    print(_printable(text), file=sys.stderr, flush=True)


def is_terminal() -> bool:
    """Tell whether stdout is a terminal."""
    return sys.stdout.isatty()


def table(
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[str]],
    *,
    title: str | None = None,
) -> None:
    """Print a table on stdout: ruled and coloured on a terminal, plain text elsewhere.

    Args:
        columns: (heading, "left" or "right") for each column.
        rows: cells as text.
        title: a line above the table.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = is_terminal()
    drawn = Table(
        title=None if title is None else Text(_printable(title), style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    for heading, justify in columns:
        drawn.add_column(
            Text(_printable(heading)), justify="right" if justify == "right" else "left"
        )
    for row in rows:
        drawn.add_row(*(Text(_printable(cell)) for cell in row))
    width = None if terminal else 200
    console = Console(
        file=sys.stdout, width=width, highlight=False, no_color="NO_COLOR" in os.environ or None
    )
    console.print(drawn)


def _printable(text: str) -> str:
    """Make text safe for a terminal: no control characters, no lone surrogates."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in safe)


def _write(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    # A lone surrogate stands for a byte of a file name; JSON writes it as an escape, \udcff.
    text = text.encode("utf-8", "backslashreplace").decode()
    if not shows(text):  # an escape of JSON's own, where stdout would write one of Python's
        text = json.dumps(value, indent=indent)
    sys.stdout.write(text + "\n")
