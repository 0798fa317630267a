"""Damaged bytes of every common format: pixels or DataError, never anything else."""

import io

import numpy as np
import pytest
from PIL import Image

from reslab.data.decode import decode_bytes
from reslab.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 255, (24, 20, 3), dtype=np.uint8)


def originals() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    rgb = Image.fromarray(NOISE)
    images = {
        "jpeg": (rgb, "JPEG", {"exif": exif}),
        "progressive": (rgb, "JPEG", {"progressive": True}),
        "cmyk": (rgb.convert("CMYK"), "JPEG", {}),
        "png": (rgb, "PNG", {"exif": exif}),
        "palette": (rgb.quantize(16), "PNG", {"transparency": bytes(range(16))}),
        "gif": (rgb.quantize(32), "GIF", {"save_all": True, "append_images": [rgb.quantize(8)]}),
        "tiff": (rgb, "TIFF", {"compression": "tiff_lzw"}),
        "webp": (rgb, "WEBP", {"exif": exif}),
        "bmp": (rgb, "BMP", {}),
        "ppm": (rgb, "PPM", {}),
        "jpeg2000": (rgb, "JPEG2000", {}),
    }
    result = {}
    for name, (image, form, options) in images.items():
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        result[name] = buffer.getvalue()
    return result


ORIGINALS = originals()


def gives_pixels(data: bytes, name: str) -> bool:
    """Decode; False where it is refused in the one allowed way."""
    try:
        pixels = decode_bytes(data, name)
    except DataError as error:
        return not _named_on_one_line(str(error), name)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2 or pixels.shape[2] == 3
    return True


def _named_on_one_line(message: str, name: str) -> bool:
    assert name in message
    assert "\n" not in message
    return True


@pytest.mark.parametrize("form", ORIGINALS)
def test_truncations(form: str) -> None:
    data = ORIGINALS[form]
    assert gives_pixels(data, form)
    lengths = np.random.default_rng(1).integers(0, len(data), 80)
    assert sum(gives_pixels(data[:n], form) for n in lengths.tolist()) < len(lengths)


@pytest.mark.parametrize("form", ORIGINALS)
def test_flipped_bits(form: str) -> None:
    rng = np.random.default_rng(2)
    for _ in range(150):
        data = bytearray(ORIGINALS[form])
        # half of the damage near the header, where it bends sizes and tables
        reach = len(data) if rng.random() < 0.5 else min(200, len(data))
        for place in rng.integers(0, reach, int(rng.integers(1, 6))).tolist():
            data[place] ^= 1 << int(rng.integers(0, 8))
        gives_pixels(bytes(data), form)


def test_random_bytes_behind_true_signatures() -> None:
    rng = np.random.default_rng(3)
    for form, data in ORIGINALS.items():
        for _ in range(20):
            assert not gives_pixels(data[:12] + rng.bytes(200), form) or form in ("bmp", "ppm")
