"""What is taken for what: the matrix, the pairs that matter, and a map for many classes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reslab.charts.pixels import png_uri
from reslab.display import theme, wording
from reslab.display.short import short_repr

Counts = npt.NDArray[np.int64]
TABLE_CLASSES = 25
_SLANT_AT = 6


@dataclasses.dataclass(frozen=True)
class MatrixCell:
    """One cell of the matrix.

    Args:
        count: images.
        kind: "hit" on the diagonal, "miss" beside it, "zero" for none.
        strength: 0..1, how strongly to colour it.
        title: what it means, in words.
    """

    count: int
    kind: str
    strength: float
    title: str


@dataclasses.dataclass(frozen=True)
class Mistake:
    """Images of one class taken for another.

    Args:
        true: the class they are of.
        said: the class they were taken for.
        count: how many.
        share_pct: of all images of the true class.
    """

    true: str
    said: str
    count: int
    share_pct: float


@dataclasses.dataclass(frozen=True)
class Confusion:
    """The confusion matrix, ready to be shown.

    Args:
        classes: names in the order of rows and columns.
        rows: one list of cells a true class; empty where there are too many for a table.
        totals: images of each true class.
        pairs: the most frequent mistakes.
        slanted: whether column headings must stand upright.
        dense: whether cells must be small.
        map_uri: the matrix as a picture where a table would be too large, else empty.
        sentence: the main finding.
    """

    classes: Sequence[str]
    rows: Sequence[Sequence[MatrixCell]]
    totals: Sequence[int]
    pairs: Sequence[Mistake]
    slanted: bool
    dense: bool
    map_uri: str
    sentence: str

    __repr__ = short_repr


def confusion(counts: Counts, classes: Sequence[str], most: int = 12) -> Confusion:
    """Prepare a matrix of counts (row: true class, column: class it was taken for)."""
    totals = counts.sum(axis=1)
    small = len(classes) <= TABLE_CLASSES
    pairs = _pairs(counts, classes, totals)
    longest = max((len(name) for name in classes), default=0)
    return Confusion(
        classes=classes,
        rows=_rows(counts, classes, totals) if small else [],
        totals=totals.tolist(),
        pairs=pairs[:most],
        slanted=longest > _SLANT_AT and len(classes) > 4,
        dense=len(classes) > 12,
        map_uri="" if small else map_uri(counts),
        sentence=_sentence(counts, pairs),
    )


def _rows(counts: Counts, classes: Sequence[str], totals: Counts) -> list[list[MatrixCell]]:
    rows = []
    for i, name in enumerate(classes):
        cells = []
        for j, other in enumerate(classes):
            count = int(counts[i, j])
            share = count / totals[i] if totals[i] else 0.0
            kind = "zero" if not count else "hit" if i == j else "miss"
            # The square root lets a single mistake among hundreds still be seen.
            strength = round(share if i == j else min(1.0, math.sqrt(share)), 2)
            verb = "recognised" if i == j else f"taken for {other}"
            cells.append(MatrixCell(count, kind, strength, f"{count} of {totals[i]} {name} {verb}"))
        rows.append(cells)
    return rows


def _pairs(counts: Counts, classes: Sequence[str], totals: Counts) -> list[Mistake]:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    true, said = np.nonzero(wrong)
    order = np.argsort(-wrong[true, said], kind="stable")
    return [
        Mistake(
            true=classes[true[k]],
            said=classes[said[k]],
            count=int(wrong[true[k], said[k]]),
            share_pct=100.0 * float(wrong[true[k], said[k]]) / float(totals[true[k]]),
        )
        for k in order
    ]


def _sentence(counts: Counts, pairs: Sequence[Mistake]) -> str:
    wrong = int(counts.sum() - np.trace(counts))
    images = wording.plural(int(counts.sum()), "image")
    if not wrong:
        return f"None of {images} was taken for another class."
    text = f"{wrong:,} of {images} {'was' if wrong == 1 else 'were'} taken for another class."
    top = pairs[0]
    if top.count > 1:
        text += f" The most frequent mistake: {top.true} taken for {top.said}, {top.count} times."
    return text


def map_uri(counts: Counts) -> str:
    """Draw a large matrix as a picture of one pixel a cell that suits light and dark pages.

    Hits are blue and mistakes orange; the share of the true class is the opacity.
    """
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    share = counts / totals
    pixels = np.zeros((*counts.shape, 4), dtype=np.uint8)
    pixels[..., :3] = theme.rgb(theme.CARD_WRONG)
    pixels[..., 3] = np.round(255 * np.minimum(1.0, 1.6 * np.sqrt(share))).astype(np.uint8)
    diagonal = np.arange(len(counts))
    pixels[diagonal, diagonal, :3] = theme.rgb(theme.CARD_RIGHT)
    pixels[diagonal, diagonal, 3] = np.round(255 * (0.15 + 0.85 * share[diagonal, diagonal]))
    return png_uri(pixels)
