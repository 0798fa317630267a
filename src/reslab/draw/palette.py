"""Colours and type of a drawing, light and dark, as one small style sheet."""

from __future__ import annotations

import dataclasses

FACE = 'Helvetica,Arial,"Liberation Sans",sans-serif'


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb.

    Args:
        paper: behind everything.
        ink: text and shortcuts.
        soft: wires and what is less important.
        rule: hairlines and outlines without meaning.
        hues: one a level; boxes are tinted with it.
        fill: share of the hue in a box.
        line: share of the hue in its outline.
    """

    paper: str
    ink: str
    soft: str
    faint: str
    rule: str
    sheet: str
    hues: tuple[str, ...]
    fill: float
    line: float


HUES = 7

# From the last stage backwards, in the order of the residual network paper's figure 3.
LIGHT = Theme(
    paper="#ffffff",
    ink="#16191d",
    soft="#58616b",
    faint="#8b949e",
    rule="#cfd5da",
    sheet="#f3f4f6",
    hues=("#8a6b00", "#00808f", "#c87800", "#8a4fb5", "#2f8f4e", "#d0453a", "#2f6fd0"),
    fill=0.17,
    line=0.62,
)
DARK = Theme(
    paper="#121417",
    ink="#e8eaec",
    soft="#a4adb6",
    faint="#767f88",
    rule="#3d444b",
    sheet="#1e2226",
    hues=("#d9b445", "#3fb8c3", "#f0a040", "#c090e8", "#62c787", "#ff8078", "#70aaff"),
    fill=0.22,
    line=0.6,
)


def stylesheet(*, dark: bool) -> str:
    """Return the rules of one theme."""
    return _rules(DARK if dark else LIGHT)


def following_stylesheet() -> str:
    """Return rules that follow the reader's choice of light or dark."""
    return f"{_rules(LIGHT)}@media (prefers-color-scheme:dark){{{_rules(DARK)}}}"


def _rules(t: Theme) -> str:
    rules = [
        f"text{{font:12px {FACE};fill:{t.ink};text-anchor:middle}}",
        ".start{text-anchor:start}.end{text-anchor:end}",
        f".paper{{fill:{t.paper}}}",
        ".title{font-size:19px;font-weight:600}.name{font-size:15px;font-weight:600}",
        f".sub,.size{{fill:{t.soft}}}",
        f".hair{{stroke:{t.rule};stroke-dasharray:1 5;stroke-linecap:round}}",
        f".wire{{fill:none;stroke:{t.faint};stroke-width:1.1}}.tip{{fill:{t.faint}}}",
        f".arc{{fill:none;stroke:{t.ink};stroke-width:1.3}}.arctip{{fill:{t.ink}}}",
        ".dotted{stroke-dasharray:0.1 3.6;stroke-linecap:round;stroke-width:1.7}",
        f".tag{{fill:{t.paper}}}.tagtext{{font-size:10.5px;fill:{t.ink}}}",
        f".brace{{fill:none;stroke:{t.soft};stroke-width:1.2}}",
        ".count{font-weight:600;text-anchor:end}",
        f".pool rect{{fill:{t.paper};stroke:{t.rule}}}.pool text{{fill:{t.soft}}}",
        f".pill rect{{fill:{t.sheet};stroke:{t.rule}}}",
        f".pill text,.aside text,.bar text{{font-size:10.5px;fill:{t.soft}}}",
        f".bar rect{{fill:{t.sheet};stroke:{t.rule}}}",
        f".aside rect{{fill:none;stroke:{t.faint};stroke-dasharray:3 2}}",
        f".dot circle{{fill:{t.paper};stroke:{t.soft}}}.dot path{{stroke:{t.soft}}}",
        f".fc rect{{fill:{t.sheet};stroke:{t.faint}}}",
    ]
    for number, hue in enumerate(t.hues):
        fill, line = mix(hue, t.paper, t.fill), mix(hue, t.paper, t.line)
        rules.append(f".c{number} rect{{fill:{fill};stroke:{line}}}")
    return "".join(rules)


def mix(colour: str, other: str, share: float) -> str:
    """Return `share` of one colour and the rest of another."""
    pairs = [(int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)
