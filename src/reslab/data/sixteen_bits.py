"""Images of 16 bits a channel as Pillow opens them: their whole values, and which bits are used.

Pillow keeps 16-bit grey whole, but of 16-bit colour only the upper byte. The lower byte comes from
decoding the file a second time as if its bytes were in the other order.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

Values = npt.NDArray[np.uint16]
_TWELVE = 12
_FULL_WHITE = 65535
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_NATIVE_SWAPPED = ";16B" if sys.byteorder == "little" else ";16L"
_SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": _NATIVE_SWAPPED}
# A tile of grey with alpha is as long as one of 8-bit RGBA: high and low bytes become channels.
_GREY_ALPHA = "LA;16B"


def is_grey(image: Image.Image) -> bool:
    """Tell whether an image is 16-bit grey, as Pillow 10 and its successors open it."""
    # Pillow 10 hands 16-bit PNG and PGM out as 32-bit integers, of the same range.
    wide = image.mode == "I" and image.format in ("PNG", "PPM", "JPEG2000")
    return image.mode.startswith("I;16") or wide


def is_colour(image: Image.Image) -> bool:
    """Tell whether an image that is not loaded yet has colours (or grey with alpha) of 16 bits."""
    raw = _raw_mode(image)
    return image.mode in ("RGB", "RGBA") and raw[:4] in ("RGB;", "RGBA", "LA;1") and ";16" in raw


def declared_depth(image: Image.Image) -> int | None:
    """Return the bits that a 16-bit grey file says itself it uses; None where it says nothing.

    Of PGM and JPEG 2000 Pillow has scaled the values to 16 bits already.
    """
    if image.format == "JPEG2000":
        return 16
    if image.format == "PPM" and isinstance(image, ImageFile.ImageFile) and image.tile:
        codec, _, _, args = image.tile[0]
        largest = _FULL_WHITE if codec == "raw" else args[-1] if isinstance(args, tuple) else 0
        return 16 if largest != _FULL_WHITE else None
    return _TWELVE if _tag(image, _BITS_PER_SAMPLE) == (_TWELVE,) else None


def white_is_zero(image: Image.Image) -> bool:
    """Tell whether a TIFF file counts from white to black."""
    return bool(_tag(image, _PHOTOMETRIC) == 0)


def is_signed(image: Image.Image) -> bool:
    """Tell whether a TIFF file holds signed integers of 16 bits."""
    return bool(_tag(image, _SAMPLE_FORMAT) == (2,) and _tag(image, _BITS_PER_SAMPLE) == (16,))


def colour_values(image: Image.Image) -> Values:
    """Decode all 16 bits of an image for which `is_colour` is true.

    Returns:
        (height, width, 3) or, with alpha, (height, width, 4).
    """
    assert isinstance(image, ImageFile.ImageFile)
    raw = _raw_mode(image)
    if raw == _GREY_ALPHA:
        pairs: Values = np.asarray(_decoded(image, raw, "RGBA")).astype(np.uint16)
        grey, alpha = pairs[..., 0] << 8 | pairs[..., 1], pairs[..., 2] << 8 | pairs[..., 3]
        return np.stack([grey, grey, grey, alpha], axis=-1)
    order = raw[raw.index(";16") :][:4]
    low: Values = np.asarray(_decoded(image, order, _SWAPPED[order])).astype(np.uint16)
    high: Values = np.asarray(_decoded(image, "", "")).astype(np.uint16)
    values: Values = (high << 8 | low).astype(np.uint16)
    return values


def _decoded(image: ImageFile.ImageFile, old: str, new: str) -> Image.Image:
    """Decode the file once more, with another order of its bytes."""
    assert image.fp is not None
    image.fp.seek(0)
    again = Image.open(image.fp, formats=[image.format or ""])
    assert isinstance(again, ImageFile.ImageFile)
    again.tile = [
        tile._replace(args=_replaced(tile.args, old, new)) if old else tile for tile in again.tile
    ]
    again.load()
    return again


def _replaced(args: Any, old: str, new: str) -> Any:
    if isinstance(args, str):
        return args.replace(old, new)
    return (args[0].replace(old, new), *args[1:])


def _raw_mode(image: Image.Image) -> str:
    """Return Pillow's name of the bytes of the first tile; "" once the image is loaded."""
    if image.format not in ("PNG", "TIFF") or not isinstance(image, ImageFile.ImageFile):
        return ""
    if not image.tile:
        return ""
    args = image.tile[0].args
    first = args if isinstance(args, str) else args[0] if args else ""
    return first if isinstance(first, str) else ""


def _tag(image: Image.Image, number: int) -> Any:
    tags = getattr(image, "tag_v2", None)
    return None if tags is None or image.format != "TIFF" else tags.get(number)
