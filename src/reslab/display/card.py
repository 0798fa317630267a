"""Cards: what a result looks like in a notebook, as HTML that needs nothing from outside.

A card carries its style in its elements, has no script, and takes the color of the text around it,
so that it suits light and dark themes and may be pasted into a page or a talk. Where styles are
taken away, as GitHub does, headings and tables remain.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from reslab.display import theme

RIGHT, WRONG = theme.CARD_RIGHT, theme.CARD_WRONG
SOFT = "opacity:.68"
HAIR = "1px solid rgba(128,128,128,.28)"
FONT = (
    # In single quotes: it stands in the style of an element.
    f"font-family:{theme.FONT.replace(chr(34), chr(39))};font-variant-numeric:tabular-nums"
)
MATRIX_UP_TO = 40
NUMBERS_UP_TO = 12


def text(value: object) -> str:
    """Make a text safe in HTML; what cannot be shown becomes a replacement sign."""
    safe = "".join(c if c.isprintable() else "\ufffd" for c in str(value))
    return html.escape(safe.encode("utf-8", "replace").decode())


def card(*parts: str) -> str:
    """Put parts of HTML below each other."""
    inside = "".join(part for part in parts if part)
    style = f"{FONT};font-size:14px;line-height:1.4;color:inherit;max-width:780px;padding:6px 2px"
    return f'<div style="{style}">{inside}</div>'


def title(name: str, about: str = "") -> str:
    """Head a card: a name, and in softer ink what it is about."""
    rest = f' <span style="font-weight:400;{SOFT}">{text(about)}</span>' if about else ""
    return f'<div style="font-size:15px;font-weight:600">{text(name)}{rest}</div>'


def headline(number: str, unit: str, meaning: str, detail: str, drawing: str = "") -> str:
    """Write the number that matters in large figures, what it is and what it rests on."""
    figure = (
        f'<div style="font-size:44px;line-height:1;font-weight:650;letter-spacing:-.02em">'
        f'{text(number)}<span style="font-size:22px;font-weight:400;{SOFT}">&nbsp;{text(unit)}'
        "</span></div>"
    )
    said = (
        f'<div><div style="font-size:15px">{text(meaning)}</div>'
        f'<div style="font-size:13px;{SOFT}">{text(detail)}</div></div>'
    )
    return _row(figure, said, drawing, gap="6px 22px", align="flex-end", margin="10px 0 2px")


def facts(*items: str) -> str:
    """List short facts in one line."""
    kept = [text(item) for item in items if item]
    return f'<div style="font-size:13px;margin:8px 0 0;{SOFT}">{" &nbsp;·&nbsp; ".join(kept)}</div>'


def sentence(words: str, *, large: bool = False) -> str:
    """Write a sentence."""
    size = "17px" if large else "13px"
    return f'<div style="font-size:{size};margin:6px 0;max-width:46em">{text(words)}</div>'


def side_by_side(*parts: str) -> str:
    """Put parts next to each other, or below where there is no room."""
    return _row(*parts, gap="14px 40px", align="flex-start", margin="16px 0 0")


def _row(*parts: str, gap: str, align: str, margin: str) -> str:
    kept = "".join(f"<div>{part}</div>" for part in parts if part)
    style = f"display:flex;flex-wrap:wrap;gap:{gap};align-items:{align};margin:{margin}"
    return f'<div style="{style}">{kept}</div>' if kept else ""


def part(heading: str, body: str) -> str:
    """Put a small heading above a part."""
    if not body:
        return ""
    style = "font-size:12.5px;font-weight:600;margin:0 0 5px"
    return f'<div style="{style}">{text(heading)}</div>{body}'


def table(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], *, margin: str = "0"
) -> str:
    """Write a table.

    Args:
        columns: (heading, "left" or "right").
        rows: cells as HTML; `text` makes it of anything else.
        margin: around it.
    """
    pad = "padding:3px 16px 3px 0"
    sides = [f"text-align:{side};{pad}" for _, side in columns]
    head = "".join(
        f'<th style="{side};font-weight:600;border-bottom:1px solid rgba(128,128,128,.6);'
        f'background:none">{text(heading)}</th>'
        for (heading, _), side in zip(columns, sides, strict=True)
    )
    body = "".join(
        '<tr style="background:none">'
        + "".join(
            f'<td style="{side};border-bottom:{HAIR};white-space:nowrap">{cell}</td>'
            for cell, side in zip(row, sides, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    style = (
        f"border-collapse:collapse;font-size:13px;line-height:1.35;margin:{margin};"
        "border:none;color:inherit;width:auto;table-layout:auto"
    )
    return (
        f'<div style="overflow-x:auto"><table style="{style}"><thead><tr style="background:none">'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def bar(share: float, *, color: str = RIGHT, width: int = 90) -> str:
    """Draw a share, 0 to 1, as a bar on a rail."""
    inner = f"width:{100 * min(max(share, 0.0), 1.0):.4g}%;height:8px;background:{color}"
    rail = f"display:inline-block;width:{width}px;height:8px;vertical-align:middle"
    ground = "background:rgba(128,128,128,.18);border-radius:2px;overflow:hidden"
    return f'<div style="{rail};{ground}"><div style="{inner}"></div></div>'


def interval(
    value: float, low: float, high: float, ends: tuple[float, float], *, width: int = 150
) -> str:
    """Draw a value with its interval on a rail from one end of an axis to the other."""
    first, last = ends
    span = max(last - first, 1e-9)

    def x(number: float) -> float:
        return round(6 + (width - 12) * (number - first) / span, 1)

    return (
        f'<svg width="{width}" height="16" viewBox="0 0 {width} 16" role="img" '
        f'aria-label="{value:.2f}, interval {low:.2f} to {high:.2f}" '
        'style="display:inline-block;vertical-align:middle">'
        f'<path d="M4 8H{width - 4}" stroke="currentColor" stroke-opacity=".25"/>'
        f'<path d="M{x(low)} 8H{x(high)}" stroke="{RIGHT}" stroke-width="5" '
        'stroke-linecap="round" stroke-opacity=".45"/>'
        f'<circle cx="{x(value)}" cy="8" r="4.5" fill="{RIGHT}"/></svg>'
    )


def around(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the ends of an axis of percentages that holds all intervals, with some air."""
    low, high = min(low for low, _ in values), max(high for _, high in values)
    air = max(0.08 * (high - low), 0.25)
    return max(0.0, low - air), min(100.0, high + air)


def curve(
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    *,
    y_label: str,
    x_label: str,
    top: float,
) -> str:
    """Draw a few curves as a sparkline with its ends in figures: the first thin, the last bold.

    Args:
        lines: (label, x, y); values that are not finite leave a gap.
        y_label: what goes up, for those who cannot see it.
        x_label: what goes right.
        top: the greatest value on the axis, which begins at 0; what lies above is cut off.
    """
    wide, high, left, right, floor, ceiling = 350, 220, 24, 112, 200, 10
    places = [x for _, xs, _ in lines for x in xs]
    first, last = min(places), max(places)

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 1.0
        return left + (wide - left - right) * across, floor - (floor - ceiling) * min(y / top, 1.0)

    ink = 'font-size="11" fill="currentColor"'
    parts = [
        f'<text x="{left - 6}" y="{floor + 4}" {ink} text-anchor="end" fill-opacity=".68">0</text>',
        f'<text x="{left - 6}" y="{ceiling + 4}" {ink} text-anchor="end" fill-opacity=".68">'
        f"{top:g}</text>",
        f'<path d="M{left} {ceiling}H{wide - right}M{left} {floor}H{wide - right}" '
        'stroke="currentColor" stroke-opacity=".2" fill="none"/>',
        f'<text x="{wide - right}" y="{floor + 17}" {ink} text-anchor="end" fill-opacity=".68">'
        f"{text(x_label)} {last:.3g}</text>",
    ]
    ends: list[float] = []
    for number, (label, xs, ys) in enumerate(lines):
        points = [at(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
        if not points:
            continue
        bold = number == len(lines) - 1
        stroke = RIGHT if bold else WRONG
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        weight = "2.4" if bold else "1.3"
        parts.append(
            f'<path d="{path}" stroke="{stroke}" stroke-width="{weight}" fill="none" '
            'stroke-linejoin="round" stroke-linecap="round"/>'
        )
        x, y = points[-1]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3 if bold else 2}" fill="{stroke}"/>')
        value = next(v for v in reversed(ys) if math.isfinite(v))
        place = _free(y + 4, ends)
        parts.append(
            f'<text x="{x + 8:.1f}" y="{place:.1f}" font-size="11" fill="{stroke}">'
            f"{text(label)} {value:.3g}</text>"
        )
    name = "; ".join(f"{label}: {ys[-1]:.3g} at the end" for label, _, ys in lines)
    return (
        f'<svg width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" role="img" '
        f'aria-label="{text(f"{y_label} by {x_label}. {name}")}" style="max-width:100%">'
        f"{''.join(parts)}</svg>"
    )


def _free(place: float, taken: list[float]) -> float:
    """Move a label up until it covers none of the others."""
    while any(abs(place - other) < 12 for other in taken):
        place -= 12
    taken.append(place)
    return place


def matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Draw a confusion matrix: a row a true class, a column what it was taken for.

    Args:
        counts: images.
        names: of the classes; more than forty make no picture.
    """
    size = len(names)
    if not 1 < size <= MATRIX_UP_TO:
        return ""
    numbers = size <= NUMBERS_UP_TO
    side = (36 if size <= 4 else 27) if numbers else max(6, 300 // size)
    base = f"width:{side}px;min-width:{side}px;height:{side}px;padding:0;text-align:center"
    plain = f"{base};border:1px solid transparent;background-clip:padding-box;font-size:11px"
    # Where classes are many, their names stand in the tooltips alone.
    label = "font-size:11.5px;font-weight:400;border:none;background:none"
    rows = []
    if numbers:
        heads = "".join(
            f'<th style="{label};padding:0 0 4px;text-align:center;vertical-align:bottom" '
            f'title="{text(name)}">{_upright(name)}</th>'
            for name in names
        )
        rows.append(f'<tr style="background:none"><th style="{label}"></th>{heads}</tr>')
    for i, (name, row) in enumerate(zip(names, counts, strict=True)):
        total = sum(row)
        cells = "".join(
            _cell(plain, count, total, i == j, numbers, f"{count} of {total} {name}: {other}")
            for j, (count, other) in enumerate(zip(row, names, strict=True))
        )
        head = (
            f'<th style="{label};text-align:right;padding:0 8px 0 0;white-space:nowrap">'
            f"{text(_cut(name))}</th>"
            if numbers
            else ""
        )
        rows.append(f'<tr style="background:none">{head}{cells}</tr>')
    style = "border-collapse:collapse;border:none;margin:0;line-height:1;color:inherit;width:auto"
    return (
        f'<table style="{style};table-layout:auto" aria-label="confusion matrix">'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _cell(style: str, count: int, total: int, hit: bool, numbers: bool, tip: str) -> str:
    share = count / total if total else 0.0
    if not count:
        color = "128,128,128,.10"
    elif hit:
        color = f"{_bytes(RIGHT)},{0.12 + (0.43 if numbers else 0.83) * share:.2f}"
    else:  # the root lets a single mistake among hundreds still be seen
        color = (
            f"{_bytes(WRONG)},{(0.2 if numbers else 0.06) + 0.6 * min(1.0, math.sqrt(share)):.2f}"
        )
    shown = f"{count}" if numbers and count else ""
    return f'<td style="{style};background-color:rgba({color})" title="{text(tip)}">{shown}</td>'


def _bytes(color: str) -> str:
    return ",".join(map(str, theme.rgb(color)))


def _upright(name: str) -> str:
    if len(name) <= 3:
        return text(name)
    style = "writing-mode:vertical-rl;transform:rotate(180deg);display:inline-block"
    return f'<span style="{style}">{text(_cut(name))}</span>'


def _cut(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"
