"""One HTML file that needs nothing: style, script and pictures inline, every request forbidden."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
from typing import Any

import jinja2
from markupsafe import Markup

from reslab.charts.files import chart_rules
from reslab.charts.pixels import tile_uri
from reslab.display import wording
from reslab.display.names import shown
from reslab.display.theme import Theme, variables

_LOADER = jinja2.PackageLoader("reslab.pages")


@dataclasses.dataclass(frozen=True)
class Fact:
    """A number with its name, for the top of a page.

    Args:
        name: what it is.
        value: the number, as text.
        detail: what it rests on, or empty.
    """

    name: str
    value: str
    detail: str = ""


def standalone(template: str, *, theme: Theme | None = None, **content: Any) -> str:
    """Return a page as text.

    Args:
        template: one of the files in templates/.
        theme: LIGHT or DARK; None to follow the reader's choice.
        content: what the template shows.
    """
    script = source("page.js")
    # The page forbids itself every request and every script but its own.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    style = variables(theme) + source("page.css") + chart_rules()
    page: str = (
        _environment()
        .get_template(template)
        .render(style=Markup(style), script=Markup(script), policy=policy, **content)
    )
    return page


@functools.cache
def _environment() -> jinja2.Environment:
    """Return what renders the pages: strict, escaping, with numbers written as everywhere."""
    environment = jinja2.Environment(
        loader=_LOADER,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.globals["zip"] = zip
    environment.filters |= {
        "number": wording.number,
        "precise": wording.precise,
        "percent": wording.percent,
        "large": wording.large,
        "duration": wording.duration,
        "plural": wording.plural,
        "shortened": wording.shortened,
        "tile": tile_uri,
        "csv_uri": _csv_uri,
    }
    return environment


def _csv_uri(text: str) -> str:
    data = base64.b64encode(text.encode("utf-8", "replace")).decode()
    return f"data:text/csv;charset=utf-8;base64,{data}"


def _finalize(value: Any) -> Any:
    """Let nothing onto the page that UTF-8 cannot hold, that hides, or that breaks a line."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value)
    return value


def source(name: str) -> str:
    """Return one of the files in templates/ as it is."""
    text, _, _ = _LOADER.get_source(jinja2.Environment(), name)
    return text
