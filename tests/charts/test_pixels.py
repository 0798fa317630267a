"""Images as data URIs: small ones exact, large ones bounded."""

import base64
import io

import numpy as np
from PIL import Image

from reslab.charts.pixels import LARGEST, picture_uri


def decode(uri: str) -> Image.Image:
    head, data = uri.split(",", 1)
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_small_images_keep_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 28, 3), dtype=np.uint8)
    uri, pixelated = picture_uri(pixels)
    assert pixelated
    assert np.array_equal(np.asarray(decode(uri)), pixels)
    grey, _ = picture_uri(pixels[..., 0])
    assert np.array_equal(np.asarray(decode(grey)), pixels[..., 0])


def test_large_images_are_bounded_in_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 1600, 3), dtype=np.uint8)
    uri, pixelated = picture_uri(pixels)
    assert not pixelated
    assert decode(uri).size == (LARGEST, round(LARGEST * 900 / 1600))
    assert len(uri) < 40_000  # noise is the worst case
