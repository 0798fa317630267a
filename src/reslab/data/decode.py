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
16-bit grey            scaled by 255 / white and rounded, grey; white is 65535, or what the
                       bit depth says, or what the file says (PGM, 12-bit TIFF)
16-bit RGB             the high byte of each value, or scaled as grey where the bit depth is less
WhiteIsZero TIFF       inverted, so that black is 0
YCbCr, HSV             RGB
HEIC                   RGB, by pillow-heif where it is installed; refused elsewhere
32-bit integer, float  refused: such files do not say what white is
signed 16-bit          refused
several frames         the first
EXIF orientation       applied; that of XMP where EXIF has none
=====================  =====================================================================

Texts and ICC profiles are not applied, however large they are. The pixel cap is tested on the
header, before memory is taken.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import stat
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from reslab.data import heif, jpeg, png, signatures, sixteen_bits, tiff
from reslab.data.arrays import Pixels
from reslab.data.bit_depth import FULL_BIT_DEPTH, to_eight_bits, usual_depth
from reslab.data.names import shown
from reslab.errors import DataError

MAX_PIXELS = 100_000_000
IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
# Opening a pipe would wait for its writer; on Windows lines would end in two characters.
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_BLOCK = 64 << 10
# Larger files are not searched for what Pillow stumbled over.
_MOST_REPAIRED_BYTES = 1 << 30
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


Opened = TypeVar("Opened")


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What of the table is a choice of the model that the pixels are for.

    Args:
        bit_depth: bits that 16-bit images use: 2**bit_depth - 1 becomes 255.
        version: 1 for models made before files said themselves what white is: WhiteIsZero and
            12-bit TIFF files of 16 bits are then taken as they are stored.
    """

    bit_depth: int = FULL_BIT_DEPTH
    version: int = 2


STANDARD = Rules()


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its image before the pixels are decoded.

    Args:
        width: pixels, as stored (before an EXIF rotation).
        height: pixels, as stored.
        mode: Pillow's name of the pixel format ("RGB", "L", "CMYK", "I;16", ...).
        orientation: EXIF orientation, 1 for upright.
        animated: whether there are more frames than the first.
        sixteen_bits: whether values have 16 bits, and the file does not say how many it uses.
    """

    width: int
    height: int
    mode: str
    orientation: int
    animated: bool
    sixteen_bits: bool = False


def decode_file(
    path: str | Path, *, at_least: int | None = None, rules: Rules = STANDARD
) -> Pixels:
    """Decode one image file by the table above.

    Args:
        path: the file.
        at_least: a side in pixels; the JPEG decoder may scale by 1/2, 1/4 or 1/8 while neither
            side falls below it, which is several times faster for photographs. None for exact.
        rules: what is white in 16-bit files.

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
            return _decode(file, name, at_least, rules)
    finally:
        os.close(descriptor)


def decode_bytes(
    data: bytes, name: str, *, at_least: int | None = None, rules: Rules = STANDARD
) -> Pixels:
    """Decode an image that is in memory; `name` stands for it in messages."""
    if not data:
        raise DataError(f"{shown(name)} is empty (0 bytes)")
    if data.startswith(jpeg.MAGIC):
        pixels = jpeg.decode(data, at_least=at_least, most_pixels=MAX_PIXELS)
        if pixels is not None:
            return pixels
    return _decode(io.BytesIO(data), name, at_least, rules)


def decode_image(image: Image.Image, name: str, *, rules: Rules = STANDARD) -> Pixels:
    """Convert a Pillow image by the same table; `name` stands for it in messages.

    Of 16-bit colour that is loaded already, Pillow holds the high bytes only.
    """
    with _QUIET:
        _refuse_size(*image.size, name)
        return _pixels(image, name, None, rules)


def decode_array(values: npt.NDArray[Any], name: str, *, rules: Rules = STANDARD) -> Pixels:
    """Convert an array as the file with its values would be; `name` stands for it in messages.

    Args:
        values: uint8 or uint16, (height, width), or (height, width, 1, 2, 3 or 4): grey, grey
            with alpha, RGB, RGB with alpha.
    """
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.dtype == np.uint16:
        colour = values.ndim == 3
        values = _colour_bytes(values, rules) if colour else to_eight_bits(values, rules.bit_depth)
    values = np.ascontiguousarray(values)
    if values.ndim == 3 and values.shape[2] in (2, 4):
        return decode_image(Image.fromarray(values), name)
    return values


def read_header(path: str | Path) -> Header:
    """Read size, mode and orientation of an image file without decoding its pixels.

    Raises:
        DataError: missing, empty, not an image, or larger than MAX_PIXELS.
    """
    name = os.fspath(path)

    def header(file: IO[bytes], inverted: bool) -> Header:
        image = _identify(file, name)
        wide = sixteen_bits.is_grey(image) or sixteen_bits.is_colour(image)
        return Header(
            width=image.width,
            height=image.height,
            mode=image.mode,
            orientation=_orientation(image),
            animated=bool(getattr(image, "is_animated", False)),
            sixteen_bits=wide and sixteen_bits.declared_depth(image) is None,
        )

    with open(_open_regular(name), "rb") as file, _QUIET:
        return _repairing(file, name, header)


def used_depth(path: str | Path) -> tuple[int, int] | None:
    """Decode a file and return how many bits its 16-bit values use.

    Returns:
        The usual bit depth (8, 10, 12, 14, 16) that holds all values, and the one that holds 999
        of 1,000; None for a file that is not of 16 bits, or says itself how many it uses.

    Raises:
        DataError: as for `decode_file`.
    """
    name = os.fspath(path)

    def depth(file: IO[bytes], inverted: bool) -> tuple[int, int] | None:
        image = _identify(file, name)
        if sixteen_bits.declared_depth(image) is not None:
            return None
        if sixteen_bits.is_colour(image):
            # The high bytes tell the usual depths apart.
            _load(image, name)
            values = np.asarray(image.getchannel(0) if image.mode == "RGBA" else image)
            values = values.astype(np.uint16) << 8 | 255
        elif sixteen_bits.is_grey(image):
            _load(image, name)
            values = np.asarray(image)
        else:
            return None
        place = (values.size - 1) * 999 // 1000
        typical = np.partition(values, place, axis=None)[place]
        return usual_depth(int(values.max())), usual_depth(int(typical))

    with open(_open_regular(name), "rb") as file, _QUIET:
        return _repairing(file, name, depth)


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


def _decode(file: IO[bytes], name: str, at_least: int | None, rules: Rules) -> Pixels:
    def pixels(source: IO[bytes], inverted: bool) -> Pixels:
        return _pixels(_identify(source, name), name, at_least, rules, inverted=inverted)

    with _QUIET:
        return _repairing(file, name, pixels)


def _repairing(file: IO[bytes], name: str, use: Callable[[IO[bytes], bool], Opened]) -> Opened:
    """Use a file; where Pillow gives up although its pixels are whole, help it and try again.

    Args:
        file: an image file.
        name: what it is called in messages.
        use: called with a file and whether its values count from white to black.
    """
    file.seek(0)
    try:
        return use(file, False)
    except _FinalError:
        raise
    except DataError as error:
        file.seek(0)
        data = file.read(_MOST_REPAIRED_BYTES)
        known = signatures.describe(data[: signatures.NEEDED_BYTES])
        if known is not None:
            what, remedy = known
            raise DataError(
                f"{shown(name)} is not an image that can be read: it is {what}", remedy=remedy
            ) from None
        if data.startswith(png.MAGIC):
            repaired, inverted = png.without_texts(data), False
        else:
            repaired, inverted = tiff.as_black_is_zero(data), True
        if repaired is None:
            raise
        try:
            return use(io.BytesIO(repaired), inverted)
        except DataError:
            raise error from None


def _load(image: Image.Image, name: str) -> None:
    try:
        image.load()
    except Exception as error:  # Pillow's readers raise almost anything on damaged bytes
        raise DataError(f"{shown(name)} {_reason(error)}") from error


def _pixels(
    image: Image.Image, name: str, at_least: int | None, rules: Rules, *, inverted: bool = False
) -> Pixels:
    try:
        if at_least is not None:
            image.draft(None, (at_least, at_least))
        declared = sixteen_bits.declared_depth(image)
        if rules.version > 1 and _needs_whole_values(image, rules):
            converted = _from_colour_values(image, rules)
        else:
            image.load()
            converted = _convert(image, rules, declared, inverted)
        upright = _TURNS.get(_orientation(image))
        if upright is not None:
            converted = converted.transpose(upright)
        return np.array(converted)
    except _RefusedError as error:
        raise _FinalError(f"{shown(name)} {error}", remedy=error.remedy) from None
    except Exception as error:  # Pillow's readers raise almost anything on damaged bytes
        raise DataError(f"{shown(name)} {_reason(error)}") from error


class _FinalError(DataError):
    """What is wrong is known: no other way of reading the file is tried."""


def _identify(file: IO[bytes], name: str) -> Image.Image:
    """Read the header, and refuse what is too large before anything is allocated."""
    image: Image.Image
    try:
        image = Image.open(file, formats=_formats())
    except UnidentifiedImageError:
        image = _identify_heif(file, name)
    except Image.DecompressionBombError as error:
        raise _FinalError(f"{shown(name)} is too large: {error}", remedy="scale it down") from None
    except Exception as error:
        raise DataError(f"{shown(name)} {_reason(error)}") from error
    _refuse_size(*image.size, name)
    return image


def _identify_heif(file: IO[bytes], name: str) -> Image.Image:
    try:
        found = heif.open_image(file, lambda width, height: _refuse_size(width, height, name))
    except DataError:
        raise
    except Exception as error:
        raise _FinalError(
            f"{shown(name)} is a HEIC image that pillow-heif cannot read ({error})",
            remedy="convert it to JPEG or PNG",
        ) from error
    if found is None:
        raise DataError(f"{shown(name)} is not an image that can be read")
    return found


def _refuse_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise _FinalError(
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


def _convert(image: Image.Image, rules: Rules, declared: int | None, inverted: bool) -> Image.Image:
    """Bring a loaded image to mode L or RGB.

    Args:
        image: loaded.
        rules: what is white in 16 bits.
        declared: the bits in use that the file tells; None where it tells nothing.
        inverted: the values count from white to black, unknown to Pillow.
    """
    mode = image.mode
    if sixteen_bits.is_grey(image):
        values = np.asarray(image)
        whole = rules.version == 1 and declared is not None
        depth = FULL_BIT_DEPTH if whole else declared or rules.bit_depth
        grey = to_eight_bits(values, depth)
        if inverted or (rules.version > 1 and sixteen_bits.white_is_zero(image)):
            grey = 255 - grey
        grey[values == image.info.get("transparency", -1)] = 255
        return Image.fromarray(grey)
    if mode in ("I", "F"):
        signed = mode == "I" and sixteen_bits.is_signed(image)
        kind = "floating-point" if mode == "F" else "signed 16-bit" if signed else "32-bit integer"
        raise _RefusedError(
            f"holds {kind} pixels, which have no agreed white", "store 8 or 16 bits, unsigned"
        )
    if image.has_transparency_data:
        return _on_white(image)
    if mode in ("L", "RGB"):
        return image
    return image.convert("L" if mode == "1" else "RGB")


def _needs_whole_values(image: Image.Image, rules: Rules) -> bool:
    """Tell whether the high bytes of 16-bit colour, which Pillow keeps, are not enough."""
    lesser = rules.bit_depth < FULL_BIT_DEPTH or "transparency" in image.info
    return lesser and sixteen_bits.is_colour(image)


def _from_colour_values(image: Image.Image, rules: Rules) -> Image.Image:
    values = sixteen_bits.colour_values(image)
    converted = Image.fromarray(_colour_bytes(values, rules))
    if image.info.get("transparency") is not None and values.shape[2] == 3:
        clear = (values == np.array(image.info["transparency"])).all(axis=-1)
        converted.paste((255, 255, 255), mask=Image.fromarray(clear))
    return _on_white(converted) if converted.mode == "RGBA" else converted


def _colour_bytes(values: npt.NDArray[Any], rules: Rules) -> Pixels:
    """Bring 16-bit colour to 8 bits: the high byte, where all bits are in use."""
    if rules.bit_depth == FULL_BIT_DEPTH:
        return (values >> 8).astype(np.uint8)
    return to_eight_bits(values, rules.bit_depth)


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
