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
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from reslab import file_kind
from reslab.data import repair
from reslab.data.arrays import Pixels
from reslab.display.names import shown
from reslab.errors import DataError

try:
    import simplejpeg
except ImportError:  # reslab runs from its source too, where only torch is installed
    simplejpeg = None

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


FULL_BIT_DEPTH = 16
BIT_DEPTHS = range(1, FULL_BIT_DEPTH + 1)
# What sensors and their files have; 8 for 8-bit images that a program kept in 16 bits.
_USUAL = (8, 10, 12, 14, FULL_BIT_DEPTH)


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
        pixels = decode_jpeg(data, at_least=at_least, most_pixels=MAX_PIXELS) if data else None
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
    if data.startswith(JPEG_MAGIC):
        pixels = decode_jpeg(data, at_least=at_least, most_pixels=MAX_PIXELS)
        if pixels is not None:
            return pixels
    return _decode(io.BytesIO(data), name, at_least, rules)


def decode_image(image: Image.Image, name: str, *, rules: Rules = STANDARD) -> Pixels:
    """Convert a Pillow image by the same table; `name` stands for it in messages.

    Of 16-bit color that is loaded already, Pillow holds the high bytes only.
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
        color = values.ndim == 3
        values = _color_bytes(values, rules) if color else to_eight_bits(values, rules.bit_depth)
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
        wide = _is_grey_16(image) or _is_color_16(image)
        return Header(
            width=image.width,
            height=image.height,
            mode=image.mode,
            orientation=_orientation(image),
            animated=bool(getattr(image, "is_animated", False)),
            sixteen_bits=wide and _declared_depth_16(image) is None,
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
        if _declared_depth_16(image) is not None:
            return None
        if _is_color_16(image):
            # The high bytes tell the usual depths apart.
            _load(image, name)
            values = np.asarray(image.getchannel(0) if image.mode == "RGBA" else image)
            values = values.astype(np.uint16) << 8 | 255
        elif _is_grey_16(image):
            _load(image, name)
            values = np.asarray(image)
        else:
            return None
        place = (values.size - 1) * 999 // 1000
        typical = np.partition(values, place, axis=None)[place]
        return usual_depth(int(values.max())), usual_depth(int(typical))

    with open(_open_regular(name), "rb") as file, _QUIET:
        return _repairing(file, name, depth)


# --- opening: what is a file, what is too large, what Pillow needs help with ----------------------


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
        if not data.startswith(JPEG_MAGIC):
            return b""
        if len(data) < _BLOCK:
            return data
        with open(descriptor, "rb", closefd=False) as rest:
            return data + rest.read(_MOST_JPEG_BYTES)
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
        known = file_kind.describe_image(data[: file_kind.HEAD_BYTES])
        if known is not None:
            what, remedy = known
            raise DataError(
                f"{shown(name)} is not an image that can be read: it is {what}", remedy=remedy
            ) from None
        if data.startswith(file_kind.PNG_MAGIC):
            repaired, inverted = repair.without_png_texts(data), False
        else:
            repaired, inverted = repair.as_black_is_zero(data), True
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
            # The inverse cosine transform of an 8x8 block to 4x4, 2x2 or 1x1: the pixels that are
            # left out are never computed, and a photograph is decoded several times faster.
            image.draft(None, (at_least, at_least))
        declared = _declared_depth_16(image)
        if rules.version > 1 and _needs_whole_values(image, rules):
            converted = _from_color_values(image, rules)
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
        found = repair.open_heif(file, lambda width, height: _refuse_size(width, height, name))
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


# --- conversion: any mode of Pillow's to grey or RGB, as the table says ---------------------------


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
    if _is_grey_16(image):
        values = np.asarray(image)
        whole = rules.version == 1 and declared is not None
        depth = FULL_BIT_DEPTH if whole else declared or rules.bit_depth
        grey = to_eight_bits(values, depth)
        if inverted or (rules.version > 1 and _white_is_zero_16(image)):
            grey = 255 - grey
        grey[values == image.info.get("transparency", -1)] = 255
        return Image.fromarray(grey)
    if mode in ("I", "F"):
        signed = mode == "I" and _is_signed_16(image)
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
    """Tell whether the high bytes of 16-bit color, which Pillow keeps, are not enough."""
    lesser = rules.bit_depth < FULL_BIT_DEPTH or "transparency" in image.info
    return lesser and _is_color_16(image)


def _from_color_values(image: Image.Image, rules: Rules) -> Image.Image:
    values = _color_values_16(image)
    converted = Image.fromarray(_color_bytes(values, rules))
    if image.info.get("transparency") is not None and values.shape[2] == 3:
        clear = (values == np.array(image.info["transparency"])).all(axis=-1)
        converted.paste((255, 255, 255), mask=Image.fromarray(clear))
    return _on_white(converted) if converted.mode == "RGBA" else converted


def _color_bytes(values: npt.NDArray[Any], rules: Rules) -> Pixels:
    """Bring 16-bit color to 8 bits: the high byte, where all bits are in use."""
    if rules.bit_depth == FULL_BIT_DEPTH:
        return (values >> 8).astype(np.uint8)
    return to_eight_bits(values, rules.bit_depth)


def _on_white(image: Image.Image) -> Image.Image:
    grey = image.mode in ("1", "L", "LA", "La")
    layer = image.convert("RGBA")
    page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(page, layer).convert("L" if grey else "RGB")


# --- Pillow's warnings ----------------------------------------------------------------------------


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


# --- ordinary JPEG files, by libjpeg-turbo without Pillow's cost a file ---------------------------
# Pillow and simplejpeg hold the same decoder and give the same pixels; for images of 32 pixels what
# Pillow does around it takes several times as long as the decoder itself. Whatever is not ordinary
# (CMYK, EXIF, XMP that turns the image, damage) is left to Pillow, so that it is decided in one
# place.


JPEG_MAGIC = b"\xff\xd8"
# A file larger than this is no photograph of at most 100 million pixels.
_MOST_JPEG_BYTES = 256 << 20
# What an image may be turned by: EXIF, or XMP where there is no EXIF.
_EXIF = b"Exif\x00\x00"
_XMP_ORIENTATION = b"tiff:Orientation"
_SCAN = b"\xff\xda"  # here the pixels begin
_SHORT = 8 << 10  # bytes that are searched sooner than their head is found


def decode_jpeg(data: bytes, *, at_least: int | None, most_pixels: int) -> Pixels | None:
    """Decode a grey or color JPEG file, or return None where Pillow has to look at it.

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
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if colors not in ("YCbCr", "Gray") or not 0 < height * width <= most_pixels:
            return None
        least_height, least_width = 0, 0
        if at_least is not None:
            # simplejpeg scales to the smallest size that holds both of these; rounded up as libjpeg
            # rounds, they name the size that Pillow's draft of this factor has.
            factor = _factor(min(height // at_least, width // at_least))
            least_height, least_width = -(-height // factor), -(-width // factor)
        grey = colors == "Gray"
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
    position = len(JPEG_MAGIC)
    while data[position : position + 1] == _SCAN[:1]:
        if data[position : position + 2] == _SCAN:
            return position
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return len(data)


def _factor(reach: int) -> int:
    """Return the power of two that Pillow's `draft` scales by."""
    return next(factor for factor in (8, 4, 2, 1) if factor <= max(1, reach))


# --- 16 bits a channel, as Pillow opens them: whole values, and which bits are used ---------------
# Pillow keeps 16-bit grey whole, but of 16-bit color only the upper byte. The lower byte comes
# from decoding the file a second time as if its bytes were in the other order.


Values = npt.NDArray[np.uint16]
_TWELVE = 12
_FULL_WHITE = 65535
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_NATIVE_SWAPPED = ";16B" if sys.byteorder == "little" else ";16L"
_SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": _NATIVE_SWAPPED}
# A tile of grey with alpha is as long as one of 8-bit RGBA: high and low bytes become channels.
_GREY_ALPHA = "LA;16B"


def _is_grey_16(image: Image.Image) -> bool:
    """Tell whether an image is 16-bit grey, as Pillow 10 and its successors open it."""
    # Pillow 10 hands 16-bit PNG and PGM out as 32-bit integers, of the same range.
    wide = image.mode == "I" and image.format in ("PNG", "PPM", "JPEG2000")
    return image.mode.startswith("I;16") or wide


def _is_color_16(image: Image.Image) -> bool:
    """Tell whether an image that is not loaded yet has colors (or grey with alpha) of 16 bits."""
    raw = _raw_mode(image)
    return image.mode in ("RGB", "RGBA") and raw[:4] in ("RGB;", "RGBA", "LA;1") and ";16" in raw


def _declared_depth_16(image: Image.Image) -> int | None:
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


def _white_is_zero_16(image: Image.Image) -> bool:
    """Tell whether a TIFF file counts from white to black."""
    return bool(_tag(image, _PHOTOMETRIC) == 0)


def _is_signed_16(image: Image.Image) -> bool:
    """Tell whether a TIFF file holds signed integers of 16 bits."""
    return bool(_tag(image, _SAMPLE_FORMAT) == (2,) and _tag(image, _BITS_PER_SAMPLE) == (16,))


def _color_values_16(image: Image.Image) -> Values:
    """Decode all 16 bits of an image for which `_is_color_16` is true.

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


def to_eight_bits(values: npt.NDArray[Any], bit_depth: int) -> Pixels:
    """Compute round(255 * min(value, white) / white) with white = 2**bit_depth - 1.

    Args:
        values: unsigned integers of at most 16 bits, any shape.
        bit_depth: bits in use, 1..16.
    """
    white = (1 << bit_depth) - 1
    clipped = np.minimum(values.astype(np.uint32), white)
    return ((clipped * 255 + white // 2) // white).astype(np.uint8)


def usual_depth(largest: int) -> int:
    """Return the smallest of the usual bit depths that holds a value."""
    return next(depth for depth in _USUAL if largest < 1 << depth)
