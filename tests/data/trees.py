"""Folders of images from a line a folder, for tests of layouts."""

from __future__ import annotations

import io
import os
from pathlib import Path

from pictures import picture

_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".ppm": "PPM"}
_BYTES: dict[str, bytes] = {}


def grow(root: Path, spec: str) -> Path:
    """Write a tree: one path a line; ``{a,b}`` stands for each, ``{1-3}`` for each number.

    A path that ends with ``/`` is an empty folder. ``path: text`` gives a text file its lines,
    separated by ``|``. Files with the suffix of an image are images.
    """
    for line in filter(None, map(str.strip, spec.splitlines())):
        paths, _, text = line.partition(": ")
        for path in _expanded(paths):
            place = root / path
            if path.endswith("/"):
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            suffix = os.path.splitext(path)[1].lower()
            if suffix in _SUFFIXES:
                place.write_bytes(_image(suffix))
            else:
                place.write_text(text.replace("|", "\n") + "\n")
    return root


def _expanded(path: str) -> list[str]:
    before, brace, rest = path.partition("{")
    if not brace:
        return [path]
    inside, _, after = rest.partition("}")
    first, dash, last = inside.partition("-")
    if dash and first.isdigit() and last.isdigit():
        choices = [str(number) for number in range(int(first), int(last) + 1)]
    else:
        choices = inside.split(",")
    return [whole for choice in choices for whole in _expanded(before + choice + after)]


def _image(suffix: str) -> bytes:
    """Return one image; which one is of no matter to a layout."""
    if suffix not in _BYTES:
        buffer = io.BytesIO()
        picture(1, (8, 8)).save(buffer, _SUFFIXES[suffix])
        _BYTES[suffix] = buffer.getvalue()
    return _BYTES[suffix]
