"""Image files that Pillow alone does not read although their pixels are whole."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import IO

from PIL import Image

from reslab.file_kind import PNG_MAGIC, is_heif

# --- PNG: texts or a colour profile that Pillow refuses -------------------------------------------
# Image generators, Blender and microscopes write workflows and logs of megabytes into text chunks.
# Pillow limits what they may unpack to, for good reason, and then gives up the image. Here such
# chunks are left out unread, so that no limit of the process has to be raised.


_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})
# The texts that may say which way the image is turned, where they are small.
_MAY_TURN = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"Raw profile type APP1\0")
_MOST_KEPT = 256 << 10


def without_png_texts(data: bytes) -> bytes | None:
    """Return a PNG file without its texts and profile; None where there are none, or it is broken.

    Args:
        data: the whole file.
    """
    kept = [PNG_MAGIC]
    position, dropped = len(PNG_MAGIC), False
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        end = position + 12 + length
        if kind in _TEXTS and not _is_needed(kind, data[position + 8 : end]):
            dropped = True
        else:
            kept.append(data[position:end])
        if kind == b"IEND":
            break
        position = end
    return b"".join(kept) if dropped else None


def _is_needed(kind: bytes, chunk: bytes) -> bool:
    """Tell whether a small, whole text may turn the image. `chunk` ends with its checksum."""
    if not chunk.startswith(_MAY_TURN) or len(chunk) > _MOST_KEPT:
        return False
    if zlib.crc32(kind + chunk[:-4]) != int.from_bytes(chunk[-4:], "big"):
        return False
    keyword, _, rest = chunk[:-4].partition(b"\0")
    assert keyword
    if kind == b"zTXt":
        return rest[:1] == b"\0" and _unpacks(rest[1:])
    if kind == b"iTXt" and rest[:1] != b"\0":
        packed = rest[2:].split(b"\0", 2)[-1]
        return rest[1:2] == b"\0" and _unpacks(packed)
    return True


def _unpacks(packed: bytes) -> bool:
    """Tell whether a text unpacks to no more than is kept."""
    reader = zlib.decompressobj()
    try:
        reader.decompress(packed, _MOST_KEPT)
    except zlib.error:
        return False
    return not reader.unconsumed_tail


# --- TIFF: values from white to black in a form that Pillow does not know -------------------------


_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_PHOTOMETRIC = 262
_SHORT = 3


def as_black_is_zero(data: bytes) -> bytes | None:
    """Return a WhiteIsZero file relabelled as BlackIsZero; None for any other file.

    The pixels stay as they are, so that whoever decodes them has to invert them.

    Args:
        data: the whole file.
    """
    order = _ORDERS.get(data[:4])
    if order is None:
        return None
    try:
        (directory,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, values, value = struct.unpack_from(order + "HHIH", data, entry)
            if tag == _PHOTOMETRIC:
                if (kind, values, value) != (_SHORT, 1, 0):
                    return None
                return data[: entry + 8] + struct.pack(order + "H", 1) + data[entry + 10 :]
    except struct.error:
        return None
    return None


# --- HEIC photographs, as phones take them, by pillow-heif where that is installed ----------------


_HEAD = 64


def open_heif(file: IO[bytes], accept: Callable[[int, int], None]) -> Image.Image | None:
    """Open a HEIC image, upright; None for other files and where pillow-heif is not installed.

    Nothing is registered with Pillow, which would change what other code of the process reads.

    Args:
        file: any file.
        accept: called with width and height before memory is taken for the pixels.
    """
    file.seek(0)
    if not is_heif(file.read(_HEAD)):
        return None
    try:
        import pillow_heif
    except ImportError:  # the optional extra `heif`
        return None
    file.seek(0)
    container = pillow_heif.open_heif(file, convert_hdr_to_8bit=True)
    accept(*container.size)
    image: Image.Image = container.to_pillow()
    # The container's rotation is applied already; EXIF says the same once more.
    image.info.pop("exif", None)
    image.info.pop("xmp", None)
    return image
