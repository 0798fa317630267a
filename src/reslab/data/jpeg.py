"""Ordinary JPEG files, decoded by libjpeg-turbo without Pillow's cost a file.

Pillow and simplejpeg hold the same decoder and give the same pixels; for images of 32 pixels what
Pillow does around it takes several times as long as the decoder itself. Whatever is not ordinary
(CMYK, EXIF, XMP that turns the image, damage) is left to Pillow, so that there is one place that
says what becomes of it.
"""

from __future__ import annotations

import numpy as np

from reslab.data.arrays import Pixels

try:
    import simplejpeg
except ImportError:  # reslab runs from its source too, where only torch is installed
    simplejpeg = None

MAGIC = b"\xff\xd8"
# A file larger than this is no photograph of at most 100 million pixels.
MOST_BYTES = 256 << 20
# What an image may be turned by: EXIF, or XMP where there is no EXIF.
_EXIF = b"Exif\x00\x00"
_XMP_ORIENTATION = b"tiff:Orientation"
_SCAN = b"\xff\xda"  # here the pixels begin
_SHORT = 8 << 10  # bytes that are searched sooner than their head is found


def decode(data: bytes, *, at_least: int | None, most_pixels: int) -> Pixels | None:
    """Decode a grey or colour JPEG file, or return None where Pillow has to look at it.

    Args:
        data: the whole file.
        at_least: a side in pixels; scaled by 1/2, 1/4 or 1/8 while neither side falls below it.
        most_pixels: larger images are left to Pillow, which refuses them.

    Returns:
        uint8, (height, width) or (height, width, 3).
    """
    if simplejpeg is None or _may_be_turned(data):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray") or not 0 < height * width <= most_pixels:
            return None
        least_height, least_width = 0, 0
        if at_least is not None:
            factor = _factor(min(height // at_least, width // at_least))
            least_height, least_width = -(-height // factor), -(-width // factor)
        grey = colours == "Gray"
        pixels: Pixels = simplejpeg.decode_jpeg(
            data,
            colorspace="GRAY" if grey else "RGB",
            min_height=least_height,
            min_width=least_width,
        )
    except ValueError:  # damaged, or odd in another way
        return None
    return np.ascontiguousarray(pixels[:, :, 0]) if grey else pixels


def _may_be_turned(data: bytes) -> bool:
    head = data if len(data) < _SHORT else data[: _scan_start(data)]
    return _EXIF in head or _XMP_ORIENTATION in head


def _scan_start(data: bytes) -> int:
    """Return where the segments before the pixels end; the whole length where that is unclear."""
    position = len(MAGIC)
    while data[position : position + 1] == _SCAN[:1]:
        if data[position : position + 2] == _SCAN:
            return position
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return len(data)


def _factor(reach: int) -> int:
    """Return the power of two that Pillow's `draft` scales by."""
    return next(factor for factor in (8, 4, 2, 1) if factor <= max(1, reach))
