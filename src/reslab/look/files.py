"""Each figure as files of its own: SVG or PNG, and JSON with the numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageDraw, ImageFont

from reslab import durable
from reslab.data.arrays import Pixels
from reslab.look.figure import Block, Drawing, Figure, Gallery, Section
from reslab.look.page import style
from reslab.report.page import source
from reslab.report.plots import Plot, draw

_GAP, _BETWEEN, _LINE = 3, 14, 20
_SHEET_WIDTH = 1400


def write_figures(sections: Sequence[Section], folder: Path) -> list[Path]:
    """Write every figure of the sections into a folder and return the files.

    Raises:
        MachineError: they cannot be written.
    """
    written = []
    for figure in (figure for section in sections for figure in section.figures):
        for suffix, content in _contents(figure).items():
            path = folder / f"{figure.name}{suffix}"
            durable.write_file(path, content)
            written.append(path)
    return written


def numbers(sections: Sequence[Section]) -> dict[str, Any]:
    """Return what the figures show as JSON values, by section and figure."""
    value = {
        section.name: {
            **{figure.name: figure.data for figure in section.figures if figure.data},
            **({"missing": list(section.missing)} if section.missing else {}),
        }
        for section in sections
    }
    plain: dict[str, Any] = _finite(value)
    return plain


def _contents(figure: Figure) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    match figure.body:
        case Plot():
            contents[".svg"] = standalone(draw(figure.body)).encode()
        case Drawing():
            contents[".svg"] = standalone(figure.body.svg).encode()
        case Gallery():
            contents[".png"] = _png(sheet(figure.body))
    if figure.data:
        text = json.dumps(_finite(figure.data), indent=1, allow_nan=False, ensure_ascii=False)
        contents[".json"] = (text + "\n").encode("utf-8", "surrogateescape")
    return contents


def standalone(svg: Markup) -> str:
    """Give a drawing of the page the page's colours, so that it stands by itself."""
    text = str(svg)  # Markup would escape what is put in
    if "xmlns=" in text:
        return text
    sheet = source("page.css")
    # Only the colours: the two blocks that begin the style sheet of every page.
    colours = sheet[sheet.index(":root") : sheet.index("* { box-sizing")]
    rules = colours + source("plots.css") + str(style())
    head, rest = text.split(">", 1)
    box = head.split('viewBox="', 1)[1].split('"', 1)[0].split()
    size = f'xmlns="http://www.w3.org/2000/svg" width="{box[2]}" height="{box[3]}"'
    font = "svg{font-family:Helvetica,Arial,'Liberation Sans',sans-serif}"
    head = head.replace("<svg", f"<svg {size}", 1)
    return f"{head}><style>{font}\n{rules}</style>{rest}"


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
    ImageDraw.Draw(image).text((0, _LINE // 2), text, fill="#16191d", font=font, anchor="lm")
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


def _png(pixels: Pixels) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _finite(value: Any) -> Any:
    """Replace what JSON does not have by null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
