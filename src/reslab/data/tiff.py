"""TIFF files that count from white to black in a form that Pillow does not know."""

from __future__ import annotations

import struct

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
