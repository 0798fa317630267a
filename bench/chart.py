"""The ratios as a picture: a bar each, its spread, and the target it should reach."""

from __future__ import annotations

import math
from html import escape
from typing import Any

WIDTH = 960
LEFT, RIGHT, TOP, BOTTOM = 268, 84, 112, 52
BAR, GAP, BETWEEN, LEAST = 18, 7, 22, 32
TICKS = (0.5, 1, 2, 4, 8, 16, 32, 64, 128)
GROUPS = {"as found": 0, "tuned": 1}
WORDS = {"as found": "as users find it", "tuned": "tuned: the fastest form and type here"}
FACE = 'Helvetica,Arial,"Liberation Sans",sans-serif'
LIGHT = {
    "paper": "#ffffff",
    "ink": "#16191d",
    "soft": "#58616b",
    "rule": "#dfe3e7",
    "one": "#8b949e",
    "bars": ("#2f6fd0", "#2f8f4e"),
    "spread": "#16191d",
    "missed": "#d0453a",
}
DARK = {
    "paper": "#121417",
    "ink": "#e8eaec",
    "soft": "#a4adb6",
    "rule": "#2a3036",
    "one": "#767f88",
    "bars": ("#70aaff", "#62c787"),
    "spread": "#e8eaec",
    "missed": "#ff8078",
}


def chart(value: dict[str, Any]) -> str:
    """Draw every comparison that was measured."""
    cases = [found for found in value["cases"].values() if _bars(found)]
    heights = [max(LEAST, _tall(found)) + BETWEEN for found in cases]
    height = TOP + sum(heights) + BOTTOM
    scale = _scale(cases)
    parts = [*_heading(value), *_axis(scale, height)]
    y: float = TOP
    for found, tall in zip(cases, heights, strict=True):
        parts += _case(found, y + tall / 2, scale)
        y += tall
    words = "; ".join(f"{f['title']}: {_said(f)}" for f in cases)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}" role="img" '
        f'aria-label="{escape(words)}"><style>{_style(LIGHT)}'
        f"@media (prefers-color-scheme:dark){{{_style(DARK)}}}</style>"
        f'<rect class="paper" width="{WIDTH}" height="{height:g}" rx="10"/>'
        f"{''.join(parts)}</svg>\n"
    )


class Scale:
    """Logarithmic positions of ratios between `low` and `high`."""

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high

    def __call__(self, ratio: float) -> float:
        """Return the position of a ratio, drawing units."""
        share = math.log(ratio / self.low) / math.log(self.high / self.low)
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, share))


def _bars(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    groups = found.get("groups", {})
    return [(group, peer) for group, peer in groups.items() if "ratio" in peer]


def _tall(found: dict[str, Any]) -> int:
    return len(_bars(found)) * (BAR + GAP) - GAP


def _scale(cases: list[dict[str, Any]]) -> Scale:
    peers = [peer for found in cases for _, peer in _bars(found)]
    values = [peer["ratio"][end] for peer in peers for end in ("least", "most")]
    values += [peer["target"] or 1 for peer in peers] + [1.0, 4.0]
    low = max([tick for tick in TICKS if tick <= min(values)] or [min(values)])
    high = min([tick for tick in TICKS if tick >= max(values)] or [max(values)])
    return Scale(min(low, 0.9) / 1.05, high)


def _heading(value: dict[str, Any]) -> list[str]:
    machine = value["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores"
    parts = [
        _text("title", 28, 36, "How many times as fast as others"),
        _text("sub", 28, 58, f"{where}. Side by side in turn, all cores, the same answers."),
    ]
    x = 28.0
    for group, number in GROUPS.items():
        parts.append(f'<rect class="b{number}" x="{x:g}" y="74" width="13" height="13" rx="3"/>')
        parts.append(_text("key", x + 20, 85, WORDS[group]))
        x += 46 + 6.2 * len(WORDS[group])
    parts.append(f'<path class="spread" d="{_whisker(x, x + 26, 80.5)}"/>')
    parts.append(_text("key", x + 34, 85, "least to greatest pair"))
    x += 190
    parts.append(f'<path class="target" d="M{x:g} 73v15"/>')
    parts.append(_text("key", x + 9, 85, "target"))
    parts.append(f'<path class="target missed" d="M{x + 66:g} 73v15"/>')
    parts.append(_text("key", x + 75, 85, "target missed"))
    return parts


def _axis(scale: Scale, height: float) -> list[str]:
    parts = []
    for tick in TICKS:
        if scale.low <= tick <= scale.high:
            x, kind = scale(tick), "one" if tick == 1 else "rule"
            parts.append(f'<path class="{kind}" d="M{x:.1f} {TOP:g}V{height - BOTTOM + 6:g}"/>')
            word = "as fast" if tick == 1 else f"{tick:g}×"
            parts.append(_text("tick", x, height - BOTTOM + 24, word))
    return parts


def _case(found: dict[str, Any], middle: float, scale: Scale) -> list[str]:
    name, _, rest = found["title"].partition(",")
    parts = [
        _text("name", LEFT - 18, middle + (-3 if rest else 5), name),
        _text("detail", LEFT - 18, middle + 13, rest.strip()) if rest else "",
    ]
    y = middle - _tall(found) / 2
    for group, peer in _bars(found):
        parts += _bar(GROUPS.get(group, 0), peer, y, scale)
        y += BAR + GAP
    return parts


def _bar(number: int, peer: dict[str, Any], y: float, scale: Scale) -> list[str]:
    ratio, middle = peer["ratio"], y + BAR / 2
    spread = _whisker(scale(ratio["least"]), scale(ratio["most"]), middle)
    start, end = scale(1.0), scale(ratio["median"])
    out = math.copysign(min(3.0, abs(end - start)), end - start)  # of the rounded end
    parts = [
        f'<path class="b{number}" d="M{start:.1f} {y:g}H{end - out:.1f}q{out:.1f} 0 {out:.1f} 3'
        f'V{y + BAR - 3:g}q0 3 {-out:.1f} 3H{start:.1f}Z"/>',
        f'<path class="spread" d="{spread}"/>',
    ]
    reached = peer["target"] is None or ratio["median"] >= peer["target"]
    furthest = max(start, end, scale(ratio["most"]))
    if peer["target"] is not None:
        at = scale(peer["target"])
        kind = "target" if reached else "target missed"
        parts.append(f'<path class="{kind}" d="M{at:.1f} {y - 2.5:g}V{y + BAR + 2.5:g}"/>')
        furthest = max(furthest, at)
    kind = "value" if reached else "value short"
    parts.append(_text(kind, furthest + 9, middle + 5, f"{_ratio(ratio['median'])}×"))
    return parts


def _whisker(low: float, high: float, y: float) -> str:
    return f"M{low:.1f} {y - 4:g}v8M{low:.1f} {y:g}H{high:.1f}M{high:.1f} {y - 4:g}v8"


def _said(found: dict[str, Any]) -> str:
    return ", ".join(f"{_ratio(p['ratio']['median'])} times {p['name']}" for _, p in _bars(found))


def _ratio(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 3 else f"{value:.2f}"


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _style(t: dict[str, Any]) -> str:
    return "".join(
        (
            f".paper{{fill:{t['paper']}}}",
            f"text{{font:13px {FACE};fill:{t['ink']}}}",
            ".title{font-size:20px;font-weight:600}",
            f".sub,.key,.detail,.tick{{fill:{t['soft']};font-size:12.5px}}",
            ".name{font-size:14.5px;font-weight:600}.name,.detail{text-anchor:end}",
            ".tick{text-anchor:middle}.value{font-size:14.5px;font-weight:600}",
            f".short{{fill:{t['missed']}}}",
            f".rule{{stroke:{t['rule']}}}.one{{stroke:{t['one']};stroke-width:1.5}}",
            f".b0{{fill:{t['bars'][0]}}}.b1{{fill:{t['bars'][1]}}}",
            f".spread{{fill:none;stroke:{t['spread']};stroke-width:1.4;opacity:.75}}",
            f".target{{stroke:{t['ink']};stroke-width:2.6}}",
            f".missed{{stroke:{t['missed']}}}",
        )
    )
