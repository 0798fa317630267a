"""HEIC photographs, as phones take them, read by pillow-heif where that is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from PIL import Image

from reslab.data import signatures

_HEAD = 64


def open_image(file: IO[bytes], accept: Callable[[int, int], None]) -> Image.Image | None:
    """Open a HEIC image, upright; None for other files and where pillow-heif is not installed.

    Nothing is registered with Pillow, which would change what other code of the process reads.

    Args:
        file: any file.
        accept: called with width and height before memory is taken for the pixels.
    """
    file.seek(0)
    if not signatures.is_heif(file.read(_HEAD)):
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
