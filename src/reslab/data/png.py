"""PNG files whose texts or colour profile Pillow refuses: the same pixels without them.

Image generators, Blender and microscopes write workflows and logs of megabytes into text chunks.
Pillow limits what they may unpack to, for good reason, and then gives up the image. Here such
chunks are left out unread, so that no limit of the process has to be raised.
"""

from __future__ import annotations

import zlib

MAGIC = b"\x89PNG\r\n\x1a\n"
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})
# The texts that may say which way the image is turned, where they are small.
_MAY_TURN = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"Raw profile type APP1\0")
_MOST_KEPT = 256 << 10


def without_texts(data: bytes) -> bytes | None:
    """Return a PNG file without its texts and profile; None where there are none, or it is broken.

    Args:
        data: the whole file.
    """
    kept = [MAGIC]
    position, dropped = len(MAGIC), False
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
