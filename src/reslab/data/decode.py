"""File -> uint8 pixels: the one conversion, the same to train, evaluate, predict and serve.

=====================  =====================================================================
stored                 becomes
=====================  =====================================================================
1-bit, grey            grey (height, width)
grey + alpha           composed on white, grey
RGB                    RGB (height, width, 3)
palette                RGB
any transparency       composed on white, RGB
CMYK, YCCK             RGB; JPEG files follow Adobe's inverted convention
16-bit grey            scaled by 255 / 65535 and rounded, grey; a transparent value is white
16-bit RGB             the high byte of each value, RGB
YCbCr, HSV             RGB
32-bit integer, float  refused: such files do not say what white is
several frames         the first
EXIF orientation       applied; that of XMP where EXIF has none
=====================  =====================================================================

ICC profiles are not applied. The pixel cap is tested on the header, before memory is taken.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import stat
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from reslab.data import jpeg
from reslab.data.arrays import Pixels
from reslab.data.names import shown
from reslab.errors import DataError

MAX_PIXELS = 100_000_000
IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
# Opening a pipe would wait for its writer; on Windows lines would end in two characters.
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_BLOCK = 64 << 10
# Pillow's other readers are left out: some run programs (EPS), none holds training images.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its image before the pixels are decoded.

    Args:
        width: pixels, as stored (before an EXIF rotation).
        height: pixels, as stored.
        mode: Pillow's name of the pixel format ("RGB", "L", "CMYK", "I;16", ...).
        orientation: EXIF orientation, 1 for upright.
        animated: whether there are more frames than the first.
    """

    width: int
    height: int
    mode: str
    orientation: int
    animated: bool


def decode_file(path: str | Path, *, at_least: int | None = None) -> Pixels:
    """Decode one image file by the table above.

    Args:
        path: the file.
        at_least: a side in pixels; the JPEG decoder may scale by 1/2, 1/4 or 1/8 while neither
            side falls below it, which is several times faster for photographs. None for exact.

    Returns:
        uint8, (height, width) for grey or (height, width, 3) for RGB; writable memory.

    Raises:
        DataError: missing, empty, truncated, not an image or too large; names the file.
    """
    name = os.fspath(path)
    descriptor = _open_regular(name)
    try:
        data = _jpeg_bytes(descriptor, name)
        pixels = jpeg.decode(data, at_least=at_least, most_pixels=MAX_PIXELS) if data else None
        if pixels is not None:
            return pixels
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return _decode(file, name, at_least)
    finally:
        os.close(descriptor)


def decode_bytes(data: bytes, name: str, *, at_least: int | None = None) -> Pixels:
    """Decode an image that is in memory; `name` stands for it in messages."""
    if not data:
        raise DataError(f"{shown(name)} is empty (0 bytes)")
    if data.startswith(jpeg.MAGIC):
        pixels = jpeg.decode(data, at_least=at_least, most_pixels=MAX_PIXELS)
        if pixels is not None:
            return pixels
    return _decode(io.BytesIO(data), name, at_least)


def decode_image(image: Image.Image, name: str) -> Pixels:
    """Convert a Pillow image by the same table; `name` stands for it in messages."""
    with _QUIET:
        _refuse_size(image, name)
        return _pixels(image, name, None)


def read_header(path: str | Path) -> Header:
    """Read size, mode and orientation of an image file without decoding its pixels.

    Raises:
        DataError: missing, empty, not an image, or larger than MAX_PIXELS.
    """
    name = os.fspath(path)
    with open(_open_regular(name), "rb") as file, _QUIET:
        image = _identify(file, name)
        return Header(
            width=image.width,
            height=image.height,
            mode=image.mode,
            orientation=_orientation(image),
            animated=bool(getattr(image, "is_animated", False)),
        )


def _open_regular(name: str) -> int:
    """Open a file by its descriptor: Python's file objects take longer than a small image."""
    try:
        descriptor = os.open(name, _OPEN)
    except FileNotFoundError:
        raise DataError(f"{shown(name)} does not exist") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unreadable(name, error) from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size:
        return descriptor
    os.close(descriptor)
    what = "is empty (0 bytes)" if stat.S_ISREG(status.st_mode) else "is not a file"
    raise DataError(f"{shown(name)} {what}")


def _jpeg_bytes(descriptor: int, name: str) -> bytes:
    """Return the whole of a JPEG file, nothing of any other."""
    try:
        data = os.read(descriptor, _BLOCK)
        if not data.startswith(jpeg.MAGIC):
            return b""
        if len(data) < _BLOCK:
            return data
        with open(descriptor, "rb", closefd=False) as rest:
            return data + rest.read(jpeg.MOST_BYTES)
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> DataError:
    return DataError(f"{shown(name)} cannot be read ({getattr(error, 'strerror', None) or error})")


def _decode(file: IO[bytes], name: str, at_least: int | None) -> Pixels:
    with _QUIET:
        return _pixels(_identify(file, name), name, at_least)


def _pixels(image: Image.Image, name: str, at_least: int | None) -> Pixels:
    try:
        if at_least is not None:
            image.draft(None, (at_least, at_least))
        image.load()
        upright = _TURNS.get(_orientation(image))
        converted = _convert(image)
        if upright is not None:
            converted = converted.transpose(upright)
        return np.array(converted)
    except _RefusedError as error:
        raise DataError(f"{shown(name)} {error}", remedy=error.remedy) from None
    except Exception as error:  # Pillow's readers raise almost anything on damaged bytes
        raise DataError(f"{shown(name)} {_reason(error)}") from error


def _identify(file: IO[bytes], name: str) -> ImageFile.ImageFile:
    """Read the header, and refuse what is too large before anything is allocated."""
    try:
        image = Image.open(file, formats=_formats())
    except UnidentifiedImageError:
        remedy = "convert it to JPEG or PNG" if _looks_heic(file) else ""
        raise DataError(f"{shown(name)} is not an image that can be read", remedy=remedy) from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{shown(name)} is too large: {error}", remedy="scale it down") from None
    except Exception as error:
        raise DataError(f"{shown(name)} {_reason(error)}") from error
    _refuse_size(image, name)
    return image


def _refuse_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{shown(name)} is too large: {width}x{height} pixels, "
            f"at most {MAX_PIXELS // 1_000_000} million are read",
            remedy="scale it down",
        )
    if width < 1 or height < 1:
        raise DataError(f"{shown(name)} has no pixels ({width}x{height})")


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _looks_heic(file: IO[bytes]) -> bool:
    file.seek(4)
    return file.read(8) in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "is truncated" if "truncated" in text.lower() else f"is damaged ({text})"


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block says nothing; the pixels are still good
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


class _RefusedError(Exception):
    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def _convert(image: Image.Image) -> Image.Image:
    """Bring a loaded image to mode L or RGB."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM", "JPEG2000")):
        # Pillow 10 hands 16-bit PNG and PGM out as 32-bit integers, of the same range.
        values = np.asarray(image).astype(np.uint32)
        grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
        grey[values == image.info.get("transparency", -1)] = 255
        return Image.fromarray(grey)
    if mode in ("I", "F"):
        kind = "floating-point" if mode == "F" else "32-bit integer"
        raise _RefusedError(
            f"holds {kind} pixels, which have no agreed white", "store 8 or 16 bits"
        )
    if image.has_transparency_data:
        return _on_white(image)
    if mode in ("L", "RGB"):
        return image
    return image.convert("L" if mode == "1" else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    grey = image.mode in ("1", "L", "LA", "La")
    layer = image.convert("RGBA")
    page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(page, layer).convert("L" if grey else "RGB")


class _Quiet:
    """Keep Pillow's warnings to itself while any thread decodes.

    `warnings.catch_warnings` alone is not safe here: filters belong to the whole process, and
    two threads would restore each other's. The first to enter sets the filter, the last to
    leave takes it back; it concerns Pillow's modules only.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._guard = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._guard = warnings.catch_warnings()
                self._guard.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.|reslab\.data\.decode")
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._guard.__exit__(kind, error, trace)


_QUIET = _Quiet()
