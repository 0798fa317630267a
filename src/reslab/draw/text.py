"""How wide text is: no font is loaded, so that a drawing is the same on every machine."""

from __future__ import annotations

# Advance widths of Helvetica (and of Arial and Liberation Sans) in thousandths of the size.
_WIDTHS = {
    278: " !,./:;I[\\]ft",
    222: "ijl",
    260: "|",
    333: "()-r`{}",
    355: '"',
    191: "'",
    389: "*",
    469: "^",
    500: "Jckszvxy",
    556: "#$0123456789?L_abdeghnopqu",
    584: "+<=>~×",
    611: "FTZ",
    617: "σ",
    667: "&ABEKPSVXY",
    722: "CDHNRUw",
    778: "GOQ",
    833: "Mm",
    889: "%",
    944: "W",
    1015: "@",
}
_WIDTH_OF = {character: width for width, those in _WIDTHS.items() for character in those}
_BOLD = 1.09


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a line of text in drawing units, for a font of that size."""
    # Unknown letters count as wide ones, and Han, kana and Hangul as squares: boxes may be too
    # wide, never too narrow.
    total = sum(_WIDTH_OF.get(c, 1000 if ord(c) > 0x2E80 else 700) for c in text)
    return total * size / 1000 * (_BOLD if bold else 1)
