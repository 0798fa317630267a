"""A drawing as the bytes of a file: SVG, PNG or one offline HTML page."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from reslab.display.theme import DARK
from reslab.draw.png import png, renderer
from reslab.draw.shapes import Drawing
from reslab.draw.style import RULES, stylesheet
from reslab.draw.svg import svg
from reslab.errors import UsageError, nearest
from reslab.pages.standalone import standalone

FORMATS = (".svg", ".png", ".html")


def check_format(path: Path) -> str:
    """Return the format that a file's name asks for, before anything is drawn.

    Raises:
        UsageError: it is none of those there are.
        MachineError: nothing on this machine can make a PNG.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        received = f"received '{path.name}'"
        hint = nearest(suffix, FORMATS) if suffix else ""
        raise UsageError(
            f"a drawing is a file that ends in {', '.join(FORMATS)}, {received}",
            remedy=hint or f"write to {path.name}.svg",
        )
    if suffix == ".png":
        renderer()
    return suffix


def render(drawing: Drawing, suffix: str, *, dark: bool = False) -> bytes:
    """Turn a drawing into the content of a file.

    Args:
        drawing: what is drawn.
        suffix: one of `FORMATS`.
        dark: light on dark; a page follows the reader's choice otherwise.

    Raises:
        MachineError: a PNG was asked for and cannot be made.
    """
    assert suffix in FORMATS, suffix
    if suffix == ".html":
        return _page(drawing, dark=dark).encode()
    text = svg(drawing, stylesheet(dark=dark))
    if suffix == ".svg":
        return text.encode()
    return png(text, drawing.width, drawing.height)


def _page(drawing: Drawing, *, dark: bool) -> str:
    """Put the drawing into a page; a pointer over a box shows the layer's name and cost."""
    return standalone(
        "drawing.html",
        theme=DARK if dark else None,
        about=drawing.about,
        svg=Markup(svg(drawing, RULES)),
    )
