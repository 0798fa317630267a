"""Figures as SVG files that stand alone: with their own colours, light and dark, and legend."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from reslab.display.names import shown
from reslab.study.figure import Figure

# The colours of report/templates/page.css, as plain values: programs that show an SVG file
# seldom know variables.
LIGHT = {
    "paper": "#ffffff", "ink": "#16191d", "soft": "#58616b", "faint": "#8b949e",
    "hair": "#eaedef", "c0": "#0067b1", "c1": "#c84c00", "c2": "#5b6570", "c3": "#007d5f",
    "c4": "#a6478f", "c5": "#8a6b00",
}  # fmt: skip
DARK = {
    "paper": "#121417", "ink": "#e8eaec", "soft": "#a4adb6", "faint": "#767f88",
    "hair": "#262a2f", "c0": "#62b0f2", "c1": "#ff8f4a", "c2": "#a4adb6", "c3": "#3fc39b",
    "c4": "#e08fcb", "c5": "#d9b445",
}  # fmt: skip
SHAPES = """
text { font: 12px -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
path { fill: none; }
.heading { font-size: 15px; font-weight: 600; }
.tick-x { text-anchor: middle; dominant-baseline: hanging; }
.tick-y { text-anchor: end; dominant-baseline: central; }
.value { text-anchor: end; }
.series, .key { stroke: currentColor; fill: currentColor; }
.dot { stroke: none; }
.line { fill: none; stroke-linejoin: round; stroke-linecap: round; stroke-width: 1.1; }
.bold .line { stroke-width: 2.5; }
.dashed .line { stroke-width: 1.4; stroke-dasharray: 5 3.5; }
.whisker { stroke-width: 1.3; opacity: .55; }
.paper { stroke-width: 1.5; }
"""
_MARGIN, _LINE, _LETTER, _KEY = 16, 20, 6.4, 30


def standalone(figure: Figure) -> str:
    """Return a figure as the text of an SVG file that needs no style sheet."""
    width = figure.width + 2 * _MARGIN
    legend, lines = _legend(figure)
    top = _MARGIN + 18 + _LINE * lines + 8
    height = top + figure.height + 10
    heading = f"{figure.title}{f' by {figure.by}' if figure.by else ''}"
    inner = re.sub(
        r'<svg class="plot" viewBox="[^"]*"[^>]*>',
        f'<svg x="{_MARGIN}" y="{top}" width="{figure.width}" height="{figure.height}" '
        f'viewBox="0 0 {figure.width} {figure.height}" overflow="visible">',
        str(figure.drawing),
        count=1,
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">'
        f"<title>{escape(shown(heading))}. {escape(shown(figure.caption))}</title>"
        f"<style>{SHAPES}{_colours(LIGHT)}"
        f"@media (prefers-color-scheme: dark) {{\n{_colours(DARK)}}}\n</style>"
        f'<rect class="sheet" width="{width}" height="{height}"/>'
        f'<text class="heading" x="{_MARGIN}" y="{_MARGIN + 12}">{escape(shown(heading))}</text>'
        f"{legend}{inner}</svg>\n"
    )


def _legend(figure: Figure) -> tuple[Markup, int]:
    """Set the legend in lines of the figure's width; returns it and the number of lines."""
    parts, x, line = [], 0.0, 0
    for label, style, colour in figure.legend:
        wide = _KEY + _LETTER * len(label) + 14
        if x and x + wide > figure.width:
            x, line = 0.0, line + 1
        left, y = _MARGIN + x, _MARGIN + 18 + _LINE * line + 12
        mark = f'<path class="line" d="M{left:.1f} {y}h22"/>'
        if style == "points":
            mark = f'<circle class="dot" cx="{left + 17:.1f}" cy="{y}" r="4"/>'
        text = f'<text x="{left + _KEY:.1f}" y="{y + 4}">{escape(shown(label))}</text>'
        parts.append(f'<g class="key c{colour} {style}">{mark}</g>{text}')
        x += wide
    return Markup("".join(parts)), line + 1 if figure.legend else 0


def _colours(palette: dict[str, str]) -> str:
    rules = [
        f".sheet {{ fill: {palette['paper']}; }}",
        f"text {{ fill: {palette['soft']}; }}",
        f".heading, .name, .value {{ fill: {palette['ink']}; }}",
        f".grid {{ stroke: {palette['hair']}; }}",
        f".axis, .notch {{ stroke: {palette['faint']}; }}",
        f".paper {{ stroke: {palette['ink']}; }}",
        *(f".c{i} {{ color: {palette[f'c{i}']}; }}" for i in range(6)),
    ]
    return "".join(f"{rule}\n" for rule in rules)
