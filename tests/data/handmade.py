"""TIFF and PNG files written byte by byte, independently of the code that reads them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np


def packed(values: np.ndarray, bits: int, order: str) -> bytes:
    """Pack the rows of an integer array, each padded to whole bytes."""
    if bits == 16:
        return values.astype(f"{order}u2").tobytes()
    rows = values.reshape(len(values), -1)
    digits = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(digits.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def tiff(
    values: np.ndarray,
    *,
    bits: int,
    photometric: int,
    order: str = "<",
    rows_per_strip: int | None = None,
    palette: np.ndarray | None = None,
    deflate: bool = False,
    sample_format: int = 1,
) -> bytes:
    """Write one uncompressed or deflated image.

    Args:
        values: (height, width) or (height, width, channels).
        bits: of each sample.
        photometric: 0 WhiteIsZero, 1 BlackIsZero, 2 RGB, 3 palette.
        order: "<" for II, ">" for MM.
        rows_per_strip: None for one strip.
        palette: 16-bit, (3, 2**bits).
        deflate: compress the strips.
        sample_format: 1 unsigned, 2 signed.
    """
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    step = rows_per_strip or height
    strips = [packed(values[i : i + step], bits, order) for i in range(0, height, step)]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    content, body = b"", {}
    for number, strip in enumerate(strips):
        body[number] = 8 + len(content)
        content += strip + b"\0" * (len(strip) % 2)
    entries: list[tuple[int, str, Sequence[int]]] = [
        (256, "H", [width]),
        (257, "H", [height]),
        (258, "H", [bits] * channels),
        (259, "H", [8 if deflate else 1]),
        (262, "H", [photometric]),
        (273, "I", [body[n] for n in range(len(strips))]),
        (277, "H", [channels]),
        (278, "H", [step]),
        (279, "I", [len(strip) for strip in strips]),
    ]
    if palette is not None:
        entries.append((320, "H", palette.flatten().tolist()))
    entries.append((339, "H", [sample_format] * channels))
    fields = b""
    for tag, kind, numbers in entries:
        raw = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        if len(raw) > 4:
            raw, content = struct.pack(order + "I", 8 + len(content)), content + raw
        code = {"H": 3, "I": 4}[kind]
        fields += struct.pack(order + "HHI", tag, code, len(numbers)) + raw.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(content))
    return head + content + struct.pack(order + "H", len(entries)) + fields + bytes(4)


def chunk(kind: bytes, content: bytes) -> bytes:
    """Write a PNG chunk with its checksum."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(values: np.ndarray, *, bits: int = 16, before: bytes = b"", after: bytes = b"") -> bytes:
    """Write a PNG without filters.

    Args:
        values: (height, width) or (height, width, 2, 3 or 4).
        bits: 8 or 16.
        before: chunks to put before the pixels.
        after: chunks to put behind them.
    """
    channels = 1 if values.ndim == 2 else values.shape[2]
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    height, width = values.shape[:2]
    kind = ">u2" if bits == 16 else "u1"
    rows = b"".join(b"\0" + row.astype(kind).tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(rows))
        + after
        + chunk(b"IEND", b"")
    )
