"""Lines of equal value through a grid, by marching squares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
_Edge = tuple[int, int, int]  # row, column, 0 for the edge to the right and 1 for that below


def contours(values: npt.NDArray[np.float64], level: float) -> list[list[Point]]:
    """Return lines where linearly interpolated values cross a level.

    Args:
        values: (rows, columns), finite.
        level: the value of the lines.

    Returns:
        Lines of (row, column); a closed one ends where it begins.
    """
    # A value on the level itself counts as above it, so that no line passes through a corner.
    above = values >= level
    links: dict[_Edge, list[_Edge]] = {}
    for i in range(values.shape[0] - 1):
        for j in range(values.shape[1] - 1):
            for first, second in _segments(above, values, level, i, j):
                links.setdefault(first, []).append(second)
                links.setdefault(second, []).append(first)
    return [[_crossing(values, level, edge) for edge in path] for path in _paths(links)]


def _segments(
    above: npt.NDArray[np.bool_], values: npt.NDArray[np.float64], level: float, i: int, j: int
) -> list[tuple[_Edge, _Edge]]:
    """Join the crossed edges of one cell in pairs."""
    corners = (above[i, j], above[i, j + 1], above[i + 1, j + 1], above[i + 1, j])
    edges: list[_Edge] = [(i, j, 0), (i, j + 1, 1), (i + 1, j, 0), (i, j, 1)]
    crossed = [k for k in range(4) if corners[k] != corners[(k + 1) % 4]]
    if not crossed:
        return []
    if len(crossed) == 2:
        return [(edges[crossed[0]], edges[crossed[1]])]
    # A saddle: the mean says whether its middle belongs to the high corners or to the low ones.
    middle = values[i : i + 2, j : j + 2].mean() >= level
    top, right, bottom, left = edges
    if bool(corners[0]) == bool(middle):
        return [(top, right), (bottom, left)]
    return [(left, top), (right, bottom)]


def _paths(links: dict[_Edge, list[_Edge]]) -> list[list[_Edge]]:
    """Follow links from edge to edge: open lines from their ends first, then closed ones."""
    paths = []
    ends = [edge for edge, others in links.items() if len(others) == 1]
    for start in [*ends, *links]:
        if not links.get(start):
            continue
        path = [start]
        while links[path[-1]]:
            following = links[path[-1]].pop()
            links[following].remove(path[-1])
            path.append(following)
        paths.append(path)
    return paths


def _crossing(values: npt.NDArray[np.float64], level: float, edge: _Edge) -> Point:
    i, j, down = edge
    one, other = values[i, j], values[i + down, j + 1 - down]
    share = float((level - one) / (other - one)) if other != one else 0.5
    return (i + share * down, j + share * (1 - down))
