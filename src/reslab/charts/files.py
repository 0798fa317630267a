"""Figures as files of their own: SVG or PNG to be shown, CSV and JSON with the numbers."""

from __future__ import annotations

import functools
import importlib.resources
import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from PIL import Image, ImageDraw, ImageFont

from reslab import durable
from reslab.charts.figure import Block, Chart, CustomSvg, Figure, Gallery
from reslab.charts.pixels import png_bytes
from reslab.data.arrays import Pixels
from reslab.display.names import shown
from reslab.display.theme import LIGHT, following

_GAP, _BETWEEN, _LINE = 3, 14, 20
_SHEET_WIDTH = 1400
_MARGIN, _LETTER, _KEY = 16, 6.4, 30
_OWN_RULES = """
svg { font-family: var(--drawing-font); }
.background { fill: var(--paper); }
.heading { font-size: 15px; font-weight: 600; fill: var(--ink); }
.entry { font-size: var(--tick-size); fill: var(--soft); }
.key { stroke: currentColor; fill: currentColor; }
.key .line { fill: none; }
"""


@functools.cache
def chart_rules() -> str:
    """Return the style sheet of charts, with variables."""
    rules = importlib.resources.files("reslab.charts").joinpath("plots.css").read_text("utf-8")
    return re.sub(r"/\*.*?\*/\s*", "", rules, flags=re.DOTALL)


def write_figures(figures: Iterable[Figure], folder: Path) -> list[Path]:
    """Write every figure into a folder and return the files.

    Raises:
        MachineError: they cannot be written.
    """
    written = []
    for figure in figures:
        for suffix, content in contents(figure).items():
            path = folder / f"{figure.name}{suffix}"
            durable.write_file(path, content)
            written.append(path)
    return written


def contents(figure: Figure) -> dict[str, bytes]:
    """Return suffix -> content of a figure's files."""
    found: dict[str, bytes] = {}
    if isinstance(figure.body, Chart):
        found[".svg"] = svg_file(figure).encode("utf-8", "surrogateescape")
    elif isinstance(figure.body, Gallery):
        found[".png"] = png_bytes(sheet(figure.body))
    table = figure.csv()
    if table:
        found[".csv"] = table.encode("utf-8", "surrogateescape")
    if figure.data:
        text = json.dumps(finite(figure.data), indent=1, allow_nan=False, ensure_ascii=False)
        found[".json"] = (text + "\n").encode("utf-8", "surrogateescape")
    return found


def svg_file(figure: Figure) -> str:
    """Return a chart as the text of an SVG file with heading, legend and colors of its own."""
    drawing = str(figure.svg)  # Markup would escape what is put in
    if isinstance(figure.body, CustomSvg) and "xmlns=" in drawing:
        return drawing  # it has all of that already
    assert isinstance(figure.body, Chart)
    wide, tall = figure.body.size
    heading = f"{figure.heading}{f' by {figure.over}' if figure.over else ''}"
    legend, lines = _legend(figure, wide)
    axes = (
        f'<text class="entry" x="{_MARGIN}" y="{_MARGIN + 30}">{escape(shown(figure.axes))}</text>'
    )
    below = _LINE if figure.axes else 0
    width, top = wide + 2 * _MARGIN, _MARGIN + 18 + below + _LINE * lines + 8
    height = top + tall + 10
    inner = re.sub(
        r"^<svg ",
        f'<svg x="{_MARGIN}" y="{top}" width="{wide:g}" height="{tall:g}" overflow="visible" ',
        drawing,
        count=1,
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img">'
        f"<title>{escape(shown(heading))}. {escape(shown(figure.caption))}</title>"
        f"<style>{following(_OWN_RULES + chart_rules())}</style>"
        f'<rect class="background" width="{width:g}" height="{height:g}"/>'
        f'<text class="heading" x="{_MARGIN}" y="{_MARGIN + 12}">{escape(shown(heading))}</text>'
        f'{axes if below else ""}<g transform="translate(0 {below})">{legend}</g>{inner}</svg>\n'
    )


def _legend(figure: Figure, width: float) -> tuple[Markup, int]:
    """Set the legend in lines of the figure's width; returns it and the number of lines."""
    parts, x, line = [], 0.0, 0
    for key in figure.keys:
        wide = _KEY + _LETTER * len(key.label) + 14
        if x and x + wide > width:
            x, line = 0.0, line + 1
        left, y = _MARGIN + x, _MARGIN + 18 + _LINE * line + 12
        mark = f'<path class="line" d="M{left:.1f} {y}h22"/>'
        if key.style == "points":
            mark = f'<circle class="dot" cx="{left + 11:.1f}" cy="{y}" r="4"/>'
        words = escape(shown(key.label))
        entry = f'<text class="entry" x="{left + _KEY:.1f}" y="{y + 4}">{words}</text>'
        parts.append(f'<g class="key c{key.color} {key.style}">{mark}</g>{entry}')
        x += wide
    return Markup("".join(parts)), line + 1 if figure.keys else 0


def sheet(gallery: Gallery) -> Pixels:
    """Put all pictures of a gallery onto one white sheet, with their headings."""
    cards = [_card(card.label, card.note, card.blocks) for card in gallery.cards]
    widest = max(card.shape[1] for card in cards)
    columns = max(1, min(len(cards), _SHEET_WIDTH // (widest + 2 * _BETWEEN)))
    rows = [_beside(cards[i : i + columns], 2 * _BETWEEN) for i in range(0, len(cards), columns)]
    inner = _below(rows, 2 * _BETWEEN)
    height, width = inner.shape[:2]
    page = np.full((height + 2 * _BETWEEN, width + 2 * _BETWEEN, 3), 255, dtype=np.uint8)
    page[_BETWEEN : _BETWEEN + height, _BETWEEN : _BETWEEN + width] = inner
    return page


def _card(label: str, note: str, blocks: Sequence[Block]) -> Pixels:
    tall = _beside([_block(block) for block in blocks], _BETWEEN)
    words = f"{label}   {note}".strip()
    return _below([_words(words, tall.shape[1], 15), tall], 2) if words else tall


def _block(block: Block) -> Pixels:
    lines = [
        _beside([_opaque(one) for one in block.pictures[i : i + block.columns]], _GAP)
        for i in range(0, len(block.pictures), block.columns)
    ]
    tiles = _below(lines, _GAP)
    if not block.heading:
        return tiles
    return _below([_words(block.heading, tiles.shape[1], 12), tiles], 2)


def _opaque(pixels: Pixels) -> Pixels:
    if pixels.shape[2] == 3:
        return pixels
    share = pixels[..., 3:].astype(float) / 255
    mixed: Pixels = (pixels[..., :3] * share + 255 * (1 - share)).round().astype(np.uint8)
    return mixed


def _words(text: str, width: int, size: int) -> Pixels:
    image = Image.new("RGB", (width, _LINE), "white")
    font = ImageFont.load_default(size)
    ImageDraw.Draw(image).text((0, _LINE // 2), text, fill=LIGHT.ink, font=font, anchor="lm")
    return np.asarray(image)


def _beside(pictures: Sequence[Pixels], gap: int) -> Pixels:
    height = max(one.shape[0] for one in pictures)
    width = sum(one.shape[1] for one in pictures) + gap * (len(pictures) - 1)
    row = np.full((height, width, 3), 255, dtype=np.uint8)
    left = 0
    for one in pictures:
        row[: one.shape[0], left : left + one.shape[1]] = one
        left += one.shape[1] + gap
    return row


def _below(pictures: Sequence[Pixels], gap: int) -> Pixels:
    turned = [one.transpose(1, 0, 2) for one in pictures]
    return np.ascontiguousarray(_beside(turned, gap).transpose(1, 0, 2))


def finite(value: Any) -> Any:
    """Replace what JSON does not have by null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
