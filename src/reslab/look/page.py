"""The offline page on a network: everything inline, bounded in size."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from reslab import __version__
from reslab.data.arrays import Pixels
from reslab.look.figure import Body, Drawing, Figure, Gallery, Section, Table
from reslab.look.subject import Subject
from reslab.report.page import frame, templates
from reslab.report.pictures import picture_uri, png_uri
from reslab.report.plots import Plot, draw
from reslab.report.setup import Fact

_LOADER = jinja2.PackageLoader("reslab.look")
_JPEG_FROM = 120


def render(
    subject: Subject, sections: Sequence[Section], facts: Sequence[Fact], commands: str
) -> str:
    """Return the page as text.

    Args:
        subject: what was looked at.
        sections: in the order of the page.
        facts: the few numbers on top.
        commands: how to make the page again.
    """
    environment = templates()
    assert environment.loader is not None
    environment.loader = jinja2.ChoiceLoader([environment.loader, _LOADER])
    environment.filters["uri"] = uri
    common = frame()
    return environment.get_template("look.html").render(
        **{**common, "style": common["style"] + style()},
        name=subject.name,
        network=subject.model.network.spec.name,
        data=subject.sample.data if subject.sample is not None else "",
        missing=subject.missing,
        sections=[
            (section, [_ready(figure) for figure in section.figures]) for section in sections
        ],
        facts=facts,
        command=commands,
        version=__version__,
    )


@functools.cache
def style() -> Markup:
    """Return the style sheet of this page's own figures."""
    text, _, _ = _LOADER.get_source(jinja2.Environment(), "look.css")
    return Markup(text)


def uri(pixels: Pixels) -> str:
    """Return a picture as a data URI: PNG where it is small or clear in parts, else JPEG."""
    if pixels.shape[2] == 4 or max(pixels.shape[:2]) < _JPEG_FROM:
        return png_uri(pixels)
    return picture_uri(pixels)[0]


def _ready(figure: Figure) -> dict[str, Any]:
    svg = draw(figure.body) if isinstance(figure.body, Plot) else ""
    return {"figure": figure, "body": figure.body, "kind": kind_of(figure.body), "svg": svg}


def kind_of(body: Body) -> str:
    """Name the macro that puts a figure's body onto the page."""
    match body:
        case Plot():
            return "plot"
        case Gallery():
            return "gallery"
        case Drawing():
            return "drawing"
        case Table():
            return "table"
