"""Colors, type and sizes of everything that is drawn: one table, light and dark.

Pages take it as CSS variables (`variables`). A file that stands alone takes the values themselves
(`resolved`, `following`), for programs that show an SVG file seldom know variables.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

FONT = (
    '-apple-system,BlinkMacSystemFont,"Segoe UI",Roboto,"Helvetica Neue",Arial,'
    '"Liberation Sans",sans-serif'
)
# Drawings measure their text by Helvetica's widths (draw/text.py) and so must be set in it.
DRAWING_FONT = 'Helvetica,Arial,"Liberation Sans",sans-serif'
MONO_FONT = (
    'ui-monospace,SFMono-Regular,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace'
)  # fmt: skip
TEXT_PX, CAPTION_PX, TICK_PX = 16, 14, 12

SERIES = 6
LEVELS = 7


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colors as #rrggbb.

    Args:
        paper: behind everything.
        sheet: behind what is set apart from the paper.
        ink: text.
        soft: text that is less important.
        faint: axes and wires.
        rule: lines between parts.
        hair: lines of a grid or a table.
        right: what is correct, and the first of two.
        wrong: what is mistaken, and the second of two.
        link: links.
        alarm: a warning.
        alarm_sheet: behind a warning.
        series: curves and bars, in their order; apart for the color-blind.
        levels: one a resolution in drawings of networks, from the last stage backwards in the
            order of figure 3 of He et al. 2015.
        level_fill: share of a level's color in a box.
        level_line: share of it in the box's outline.
    """

    paper: str
    sheet: str
    ink: str
    soft: str
    faint: str
    rule: str
    hair: str
    right: str
    wrong: str
    link: str
    alarm: str
    alarm_sheet: str
    series: tuple[str, ...]
    levels: tuple[str, ...]
    level_fill: float
    level_line: float

    def values(self) -> dict[str, str]:
        """Return every color by the name of its CSS variable."""
        plain = {
            field.name.replace("_", "-"): value
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), str)
        }
        levels = {}
        for number, color in enumerate(self.levels):
            levels[f"level{number}-fill"] = mix(color, self.paper, self.level_fill)
            levels[f"level{number}-line"] = mix(color, self.paper, self.level_line)
        return plain | {f"c{i}": color for i, color in enumerate(self.series)} | levels


LIGHT = Theme(
    paper="#ffffff",
    sheet="#f6f7f8",
    ink="#16191d",
    soft="#58616b",
    faint="#8b949e",
    rule="#d9dde1",
    hair="#eaedef",
    right="#0060a8",
    wrong="#c84c00",
    link="#00599c",
    alarm="#b23c00",
    alarm_sheet="#fff4ec",
    series=("#0067b1", "#c84c00", "#5b6570", "#007d5f", "#a6478f", "#8a6b00"),
    levels=("#8a6b00", "#00808f", "#c87800", "#8a4fb5", "#2f8f4e", "#d0453a", "#2f6fd0"),
    level_fill=0.17,
    level_line=0.62,
)
DARK = Theme(
    paper="#121417",
    sheet="#1b1e22",
    ink="#e8eaec",
    soft="#a4adb6",
    faint="#767f88",
    rule="#343a40",
    hair="#262a2f",
    right="#60aef0",
    wrong="#ff8c42",
    link="#7dbcf2",
    alarm="#ff9d5c",
    alarm_sheet="#2a1d13",
    series=("#62b0f2", "#ff8f4a", "#a4adb6", "#3fc39b", "#e08fcb", "#d9b445"),
    levels=("#d9b445", "#3fb8c3", "#f0a040", "#c090e8", "#62c787", "#ff8078", "#70aaff"),
    level_fill=0.22,
    level_line=0.6,
)
# For cards in notebooks, whose paper is not ours: readable on white and on black.
CARD_RIGHT, CARD_WRONG = "#3987cf", "#dd7722"
# Classes as dots: ten that stay apart for the color-blind as far as ten can (after Okabe and Ito
# 2008), on light and on dark.
CLASSES = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9",
    "#d55e00", "#8a7f00", "#7b5fc4", "#8c564b", "#7f8c98",
)  # fmt: skip

_VARIABLE = re.compile(r"var\(--([\w-]+)\)")
_RULE = re.compile(r"[^{}]+\{[^{}]*\}")


def rgb(color: str) -> tuple[int, int, int]:
    """Return the bytes of #rrggbb."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def mix(color: str, other: str, share: float) -> str:
    """Return `share` of one color and the rest of another, as #rrggbb."""
    pairs = zip(rgb(color), rgb(other), strict=True)
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


def variables(theme: Theme | None = None) -> str:
    """Return the theme as CSS variables of a page.

    Args:
        theme: LIGHT or DARK; None to follow the reader's choice, and be light on paper.
    """
    if theme is not None:
        scheme = "dark" if theme is DARK else "light"
        return f":root {{ color-scheme: {scheme}; {_fonts()} {_declared(theme)} }}\n"
    return (
        f":root {{ color-scheme: light dark; {_fonts()} {_declared(LIGHT)} }}\n"
        "@media screen and (prefers-color-scheme: dark) {\n"
        f"  :root {{ {_declared(DARK)} }}\n}}\n"
    )


def _fonts() -> str:
    sizes = {"text": TEXT_PX, "caption": CAPTION_PX, "tick": TICK_PX}
    fonts = {"font": FONT, "drawing-font": DRAWING_FONT, "mono": MONO_FONT}
    lengths = " ".join(f"--{name}-size: {size}px;" for name, size in sizes.items())
    return " ".join(f"--{name}: {value};" for name, value in fonts.items()) + f" {lengths}"


def _declared(theme: Theme) -> str:
    """Declare each color; those that get an opacity too as bytes, "--right-rgb: 0, 96, 168"."""
    parts = [f"--{name}: {color};" for name, color in theme.values().items()]
    for name in ("right", "wrong"):
        parts.append(f"--{name}-rgb: {', '.join(map(str, rgb(getattr(theme, name))))};")
    return " ".join(parts)


def resolved(css: str, theme: Theme) -> str:
    """Return rules with the values of a theme in place of its variables."""
    known = theme.values() | {
        "font": FONT, "drawing-font": DRAWING_FONT, "mono": MONO_FONT,
        "text-size": f"{TEXT_PX}px", "caption-size": f"{CAPTION_PX}px",
        "tick-size": f"{TICK_PX}px",
    }  # fmt: skip
    return _VARIABLE.sub(lambda found: known[found[1]], css)


def following(css: str) -> str:
    """Return rules with values, light ones and, where the reader prefers them, dark ones.

    Args:
        css: rules without media queries.
    """
    dark = "".join(f"{resolved(rule, DARK)}\n" for rule in _colored(css))
    return f"{resolved(css, LIGHT)}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _colored(css: str) -> Iterator[str]:
    """Yield the rules that take a color of the theme."""
    colors = LIGHT.values()
    for rule in _RULE.findall(css):
        if any(name in colors for name in _VARIABLE.findall(rule)):
            yield rule.strip()
