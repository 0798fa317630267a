"""JPEG files decoded past Pillow: the same pixels, or none at all."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from reslab.data import jpeg

MANY = 1 << 30


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(width * height)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def by_pillow(data: bytes, at_least: int | None) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    if at_least is not None:
        image.draft(None, (at_least, at_least))
    return np.array(image)


@pytest.mark.parametrize("size", [(32, 32), (1, 1), (17, 300), (641, 480)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("at_least", [None, 8, 32, 100])
def test_the_pixels_are_pillows(
    size: tuple[int, int], subsampling: int, progressive: bool, at_least: int | None
) -> None:
    data = encoded(picture(*size), quality=83, subsampling=subsampling, progressive=progressive)
    found = jpeg.decode(data, at_least=at_least, most_pixels=MANY)
    assert found is not None
    np.testing.assert_array_equal(found, by_pillow(data, at_least))


@pytest.mark.parametrize("at_least", [None, 20])
def test_grey_stays_grey(at_least: int | None) -> None:
    data = encoded(picture(90, 61, "L"))
    found = jpeg.decode(data, at_least=at_least, most_pixels=MANY)
    assert found is not None
    assert found.ndim == 2
    np.testing.assert_array_equal(found, by_pillow(data, at_least))


def test_what_is_not_ordinary_is_left_to_pillow() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    whole = encoded(picture(64, 64))
    for data in (
        encoded(picture(64, 64), exif=turned),
        encoded(picture(64, 64, "CMYK")),
        whole[: len(whole) // 2],
        whole[:30],
        jpeg.MAGIC,
    ):
        assert jpeg.decode(data, at_least=None, most_pixels=MANY) is None
    assert jpeg.decode(whole, at_least=None, most_pixels=64 * 64 - 1) is None
    assert jpeg.decode(whole, at_least=None, most_pixels=64 * 64) is not None
