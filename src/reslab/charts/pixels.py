"""Images as data URIs inside a page, bounded in size."""

from __future__ import annotations

import base64
import io

from PIL import Image

from reslab.data.arrays import Pixels

# Twice the width that a picture has on a page, for screens of high density.
LARGEST = 224
_PIXELATED_BELOW = 80
_JPEG_FROM = 120


def picture_uri(pixels: Pixels) -> tuple[str, bool]:
    """Return an image as a data URI, and whether it is so small that its pixels matter.

    Small images keep every pixel (PNG); large ones are shrunk and become JPEG.
    """
    height, width = pixels.shape[:2]
    if max(height, width) < _PIXELATED_BELOW:
        return png_uri(pixels), True
    image = Image.fromarray(pixels)
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return _uri(image, "JPEG"), False


def tile_uri(pixels: Pixels) -> str:
    """Return a tile of a gallery as a data URI: PNG where it is small or clear in parts."""
    if pixels.shape[2] == 4 or max(pixels.shape[:2]) < _JPEG_FROM:
        return png_uri(pixels)
    return picture_uri(pixels)[0]


def png_uri(pixels: Pixels) -> str:
    """Return pixels (grey, RGB or RGBA) as a PNG data URI."""
    return _uri(Image.fromarray(pixels), "PNG")


def _uri(image: Image.Image, kind: str) -> str:
    return f"data:image/{kind.lower()};base64,{base64.b64encode(_encoded(image, kind)).decode()}"


def png_bytes(pixels: Pixels) -> bytes:
    """Return pixels as the content of a PNG file."""
    return _encoded(Image.fromarray(pixels), "PNG")


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "PNG":
        image.save(buffer, kind, optimize=True)
    else:
        image.save(buffer, kind, quality=80)
    return buffer.getvalue()
