"""JPEG files decoded past Pillow: the same pixels, or none at all."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from reslab.data import decode
from reslab.data.decode import decode_bytes

MANY = 1 << 30


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(width * height)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def with_segment(data: bytes, marker: int, content: bytes) -> bytes:
    """Put a segment in front of all others."""
    length = (len(content) + 2).to_bytes(2, "big")
    return decode.JPEG_MAGIC + bytes([0xFF, marker]) + length + content + data[2:]


def xmp(orientation: int) -> bytes:
    description = f'<rdf:Description tiff:Orientation="{orientation}"/>'
    return b"http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta>" + description.encode() + b"</x:xmpmeta>"


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
    found = decode.decode_jpeg(data, at_least=at_least, most_pixels=MANY)
    assert found is not None
    np.testing.assert_array_equal(found, by_pillow(data, at_least))


@pytest.mark.parametrize("at_least", [None, 20])
def test_grey_stays_grey(at_least: int | None) -> None:
    data = encoded(picture(90, 61, "L"))
    found = decode.decode_jpeg(data, at_least=at_least, most_pixels=MANY)
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
        decode.JPEG_MAGIC,
    ):
        assert decode.decode_jpeg(data, at_least=None, most_pixels=MANY) is None
    assert decode.decode_jpeg(whole, at_least=None, most_pixels=64 * 64 - 1) is None
    assert decode.decode_jpeg(whole, at_least=None, most_pixels=64 * 64) is not None


@pytest.mark.parametrize("size", [(16, 8), (600, 400)], ids=["short", "long"])
@pytest.mark.parametrize("profile", [0, 60_000])
def test_what_xmp_may_turn_is_left_to_pillow(size: tuple[int, int], profile: int) -> None:
    data = encoded(picture(*size), quality=95)
    thumbnail = b"\xff\xd8\xff\xda" + bytes(profile)  # segments may hold whole images
    turned = with_segment(with_segment(data, 0xE1, xmp(6)), 0xED, thumbnail)
    assert decode.decode_jpeg(turned, at_least=None, most_pixels=MANY) is None
    plain = with_segment(with_segment(data, 0xE1, xmp(6)[:40]), 0xED, thumbnail)
    found = decode.decode_jpeg(plain, at_least=None, most_pixels=MANY)
    assert found is not None
    np.testing.assert_array_equal(found, by_pillow(data, None))
    turned_back = decode_bytes(turned, "x")
    np.testing.assert_array_equal(turned_back, np.rot90(found, -1))


def test_only_the_head_of_a_long_file_is_searched() -> None:
    data = encoded(picture(600, 400), quality=95)
    assert (
        decode.decode_jpeg(data + b"Exif\0\0 tiff:Orientation", at_least=None, most_pixels=MANY)
        is not None
    )
    odd = data[:2] + b"\xff\x00\x00" + data[2:]
    assert decode._scan_start(odd) == len(odd)
    assert data[decode._scan_start(data) :][:2] == b"\xff\xda"
    for end in range(0, 700, 7):
        assert decode._scan_start(data[:end]) <= max(end, 2)
