"""The drawing as SVG, written by hand: no font, no script and no reference to anything outside."""

from __future__ import annotations

from xml.sax.saxutils import escape

from reslab.draw import text
from reslab.draw.measure import SMALL
from reslab.draw.shapes import Arc, Brace, Column, Drawing, Label, Node, Point, Wire

_CORNER = 5.0


def svg(drawing: Drawing, rules: str) -> str:
    """Write a drawing as one SVG document; the same drawing gives the same bytes.

    Args:
        drawing: what is drawn.
        rules: the style sheet with its colours.
    """
    width, height = _number(drawing.width), _number(drawing.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{_quoted(drawing.about)}">',
        f"<style>{rules}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
    ]
    for y in drawing.lines:
        across = _number(drawing.width - 14)
        parts.append(f'<path class="hair" d="M14 {_number(y)}H{across}"/>')
    parts += [_label(label) for label in drawing.labels]
    parts += [_column(column) for column in drawing.columns]
    return "\n".join([*parts, "</svg>", ""])


def _column(column: Column) -> str:
    parts = [f'<g aria-label="{_quoted(column.name)}">']
    parts += [_wire(wire) for wire in column.wires]
    parts += [_arc(arc) for arc in column.arcs]
    parts += [_brace(brace) for brace in column.braces]
    parts += [_node(node) for node in column.nodes]
    parts += [_label(label) for label in column.labels]
    return "\n".join([*parts, "</g>"])


def _node(node: Node) -> str:
    x, y = node.x + node.width / 2, node.y + node.height / 2
    about = f"<title>{escape(node.about)}</title>" if node.about else ""
    look = f"{node.look} c{node.level}" if node.look == "conv" else node.look
    if node.look == "dot":
        radius = node.width / 2
        cross = f"M{_number(x - 4)} {_number(y)}h8M{_number(x)} {_number(y - 4)}v8"
        return (
            f'<g class="dot">{about}<circle cx="{_number(x)}" cy="{_number(y)}" '
            f'r="{_number(radius)}"/><path d="{cross}"/></g>'
        )
    corner = node.height / 2 if node.look in ("pill", "aside") else 5 if node.look != "bar" else 4
    return (
        f'<g class="{look}">{about}<rect x="{_number(node.x)}" y="{_number(node.y)}" '
        f'width="{_number(node.width)}" height="{_number(node.height)}" rx="{_number(corner)}"/>'
        f'<text x="{_number(x)}" y="{_number(y)}" dy="0.36em">{escape(node.text)}</text></g>'
    )


def _wire(wire: Wire) -> str:
    path = _rounded(wire.points)
    x, y = wire.points[-1]
    before = wire.points[-2]
    return f'<path class="wire" d="{path}"/>' + (_arrow(before, (x, y)) if wire.arrow else "")


def _rounded(points: tuple[Point, ...]) -> str:
    """Draw through the points, cutting each corner by an arc."""
    words = [f"M{_pair(points[0])}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_CORNER, _distance(before, here) / 2, _distance(here, after) / 2)
        words.append(f"L{_pair(_towards(here, before, radius))}")
        words.append(f"Q{_pair(here)} {_pair(_towards(here, after, radius))}")
    words.append(f"L{_pair(points[-1])}")
    return "".join(words)


def _arrow(before: Point, tip: Point, style: str = "tip") -> str:
    """Draw the head of an arrow that points along the last piece of a line."""
    length = max(_distance(before, tip), 1e-6)
    dx, dy = (tip[0] - before[0]) / length, (tip[1] - before[1]) / length
    back = (tip[0] - dx * 5, tip[1] - dy * 5)
    left, right = (back[0] - dy * 2.6, back[1] + dx * 2.6), (back[0] + dy * 2.6, back[1] - dx * 2.6)
    return f'<path class="{style}" d="M{_pair(tip)}L{_pair(left)}L{_pair(right)}Z"/>'


def _arc(arc: Arc) -> str:
    kind = "arc dotted" if arc.dotted else "arc"
    # A cubic curve reaches three quarters of the way to its control points.
    swing = arc.edge + arc.reach / 0.75
    edge, top, bottom = _number(arc.edge), _number(arc.top), _number(arc.bottom)
    curve = (
        f"M{_number(arc.x)} {top}H{edge}"
        f"C{_number(swing)} {top} {_number(swing)} {bottom} {edge} {bottom}"
    )
    end = arc.end + 1
    parts = [
        f"<g><title>{escape(arc.about)}</title>",
        f'<path class="{kind}" d="{curve}H{_number(end)}"/>',
        _arrow((arc.edge, arc.bottom), (end, arc.bottom), "arctip"),
    ]
    if arc.text:
        wide = text.width(arc.text, SMALL) + 8
        x, y = arc.edge + arc.reach, (arc.top + arc.bottom) / 2
        parts.append(
            f'<rect class="tag" x="{_number(x - wide / 2)}" y="{_number(y - 8)}" '
            f'width="{_number(wide)}" height="16" rx="3"/>'
            f'<text class="tagtext" x="{_number(x)}" y="{_number(y)}" dy="0.36em">'
            f"{escape(arc.text)}</text>"
        )
    return "".join([*parts, "</g>"])


def _brace(brace: Brace) -> str:
    x, middle = brace.x, (brace.top + brace.bottom) / 2
    path = f"M{_number(x)} {_number(brace.top)}h-4q-3 0 -3 3V{_number(brace.bottom - 3)}q0 3 3 3h4"
    return (
        f'<path class="brace" d="{path}"/><text class="count" x="{_number(x - 12)}" '
        f'y="{_number(middle)}" dy="0.36em">{escape(brace.text)}</text>'
    )


def _label(label: Label) -> str:
    return (
        f'<text class="{label.style} {label.anchor}" x="{_number(label.x)}" '
        f'y="{_number(label.y)}" dy="0.36em">{escape(label.text)}</text>'
    )


def _distance(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _towards(a: Point, b: Point, length: float) -> Point:
    share = length / max(_distance(a, b), 1e-6)
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)


def _pair(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    """Write a coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def _quoted(value: str) -> str:
    return escape(value, {'"': "&quot;"})
