"""The style sheet of a drawing, with the colors of the theme as variables.

Boxes are tinted by the level they lie on: `.c0` to `.c6`.
"""

from __future__ import annotations

from reslab.display.theme import DARK, LEVELS, LIGHT, resolved

RULES = "".join(
    [
        "text{font:12px var(--drawing-font);fill:var(--ink);text-anchor:middle}",
        ".start{text-anchor:start}.end{text-anchor:end}",
        ".paper{fill:var(--paper)}",
        ".title{font-size:19px;font-weight:600}.name{font-size:15px;font-weight:600}",
        ".sub,.size{fill:var(--soft)}",
        ".hair{stroke:var(--rule);stroke-dasharray:1 5;stroke-linecap:round}",
        ".wire{fill:none;stroke:var(--faint);stroke-width:1.1}.tip{fill:var(--faint)}",
        ".arc{fill:none;stroke:var(--ink);stroke-width:1.3}.arctip{fill:var(--ink)}",
        # Dashes of no length with round ends are dots.
        ".dotted{stroke-dasharray:0.1 3.6;stroke-linecap:round;stroke-width:1.7}",
        ".tag{fill:var(--paper)}.tagtext{font-size:10.5px;fill:var(--ink)}",
        ".brace{fill:none;stroke:var(--soft);stroke-width:1.2}",
        ".count{font-weight:600;text-anchor:end}",
        ".pool rect{fill:var(--paper);stroke:var(--rule)}.pool text{fill:var(--soft)}",
        ".pill rect{fill:var(--sheet);stroke:var(--rule)}",
        ".pill text,.aside text,.bar text{font-size:10.5px;fill:var(--soft)}",
        ".bar rect{fill:var(--sheet);stroke:var(--rule)}",
        ".aside rect{fill:none;stroke:var(--faint);stroke-dasharray:3 2}",
        ".dot circle{fill:var(--paper);stroke:var(--soft)}.dot path{stroke:var(--soft)}",
        ".fc rect{fill:var(--sheet);stroke:var(--faint)}",
        *(
            f".c{level} rect{{fill:var(--level{level}-fill);stroke:var(--level{level}-line)}}"
            for level in range(LEVELS)
        ),
    ]
)


def stylesheet(*, dark: bool) -> str:
    """Return the rules with the colors of one theme, for a file that stands alone."""
    return resolved(RULES, DARK if dark else LIGHT)
