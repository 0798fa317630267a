"""A small table: what a figure shows as numbers, or a figure by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from reslab.display.short import short_repr


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Rows under headings.

    Args:
        columns: (heading, whether numbers stand in it).
        rows: cells, text or numbers; NaN is an empty cell.
    """

    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str | float]]

    __repr__ = short_repr
