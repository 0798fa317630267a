"""What commands print on stdout: JSON and tables. Lines for people are `display.stderr.note`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from reslab.cli.streams import shows
from reslab.display.stderr import printable

if TYPE_CHECKING:
    from rich.console import RenderableType


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    _write(value, indent=2)


def emit_line(value: Any) -> None:
    """Print one JSON value on a line of its own, at once."""
    _write(value, indent=None)
    sys.stdout.flush()


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
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        title=None if title is None else Text(printable(title), style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    for heading, justify in columns:
        drawn.add_column(
            Text(printable(heading)), justify="right" if justify == "right" else "left"
        )
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    show(drawn)


def show(renderable: RenderableType) -> None:
    """Print something of rich's on stdout: coloured on a terminal, plain and wide elsewhere."""
    from rich.console import Console

    class Page(Console):
        def on_broken_pipe(self) -> NoReturn:
            """Leave it to the command, which ends with 0; rich would end it with 1."""
            raise BrokenPipeError

    width = None if is_terminal() else 200
    no_color = "NO_COLOR" in os.environ or None
    Page(file=sys.stdout, width=width, highlight=False, no_color=no_color).print(renderable)


def _write(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    # A lone surrogate stands for a byte of a file name; JSON writes it as an escape, \udcff.
    text = text.encode("utf-8", "backslashreplace").decode()
    if not shows(text):  # an escape of JSON's own, where stdout would write one of Python's
        text = json.dumps(value, indent=indent)
    sys.stdout.write(text + "\n")
