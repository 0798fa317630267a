"""How a file name is shown to people: on one line, whatever bytes it is made of."""

from __future__ import annotations

from pathlib import Path


def shown(name: str | Path) -> str:
    r"""Return a name with control characters and undecodable bytes escaped (``\n``, ``\xff``)."""
    text = str(name)
    if text.isprintable():
        return text
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, kept by os.fsdecode
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
