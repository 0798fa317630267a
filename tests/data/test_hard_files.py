"""Files whose pixels are whole although readers give them up, and files that are no image."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from handmade import chunk, png
from PIL import Image

from reslab.data.decode import decode_bytes, read_header
from reslab.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3))
LONG = zlib.compress(b"x" * 3_000_000)
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
TEXTS = {
    "zTXt": chunk(b"zTXt", b"workflow\0\0" + LONG),
    "iTXt": chunk(b"iTXt", b"prompt\0\1\0\0\0" + LONG),
    "iCCP": chunk(b"iCCP", b"profile\0\0" + LONG),
    "iCCP of an unknown method": chunk(b"iCCP", b"profile\0\7" + LONG),
    "zTXt of an unknown method": chunk(b"zTXt", b"key\0\7" + LONG),
    "70 texts of 1 MB": chunk(b"zTXt", b"key\0\0" + zlib.compress(b"y" * 1_000_000)) * 70,
    "a checksum that is wrong": chunk(b"tEXt", b"key\0value")[:-4] + b"oops",
}


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("kind", TEXTS)
def test_texts_and_profiles_are_no_damage(kind: str, where: str, tmp_path) -> None:
    data = png(PIXELS, bits=8, **{where: TEXTS[kind]})
    np.testing.assert_array_equal(decode_bytes(data, "x"), PIXELS)
    (tmp_path / "a.png").write_bytes(data)
    assert read_header(tmp_path / "a.png").width == 5


def test_what_turns_the_image_is_kept_beside_a_long_text() -> None:
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    data = png(PIXELS, bits=8, before=xmp + TEXTS["zTXt"])
    np.testing.assert_array_equal(decode_bytes(data, "x"), np.rot90(PIXELS, -1))
    bomb = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG)
    np.testing.assert_array_equal(decode_bytes(png(PIXELS, bits=8, before=bomb), "x"), PIXELS)


def test_damaged_pixels_beside_a_long_text_stay_damaged() -> None:
    whole = png(PIXELS, bits=8, before=TEXTS["zTXt"])
    at = whole.index(b"IDAT")
    for data in (whole[: at + 20], whole[: at + 12] + b"!!!!" + whole[at + 16 :]):
        with pytest.raises(DataError, match=r"x is (truncated|damaged)"):
            decode_bytes(data, "x")


def test_a_long_text_takes_no_memory() -> None:
    """A bomb of 50 MB is never unpacked."""
    import tracemalloc

    packer = zlib.compressobj(9)
    megabyte = bytes(1 << 20)
    bomb = b"".join(packer.compress(megabyte) for _ in range(50)) + packer.flush()
    data = png(PIXELS, bits=8, before=chunk(b"zTXt", b"key\0\0" + bomb))
    tracemalloc.start()
    decode_bytes(data, "x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def jpeg_with(marker: int, bits: int = 8) -> bytes:
    frame = struct.pack(">BHHB", bits, 8, 8, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff" + bytes([marker]) + struct.pack(">H", len(frame) + 2) + frame + bytes(99)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "an HTML page"),
        (b"\xef\xbb\xbf  <HTML>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
        (b'<?xml version="1.0"?>\n<svg width="3"/>', "an SVG drawing"),
        (b"\xff\x0a" + bytes(40), "a JPEG XL image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "a JPEG XL image"),
        (b"%PDF-1.7\n" + bytes(40), "a PDF document"),
        (b"8BPS\0\1" + bytes(40), "a Photoshop document"),
        (b"PK\x03\x04" + bytes(40), "a zip archive"),
        (bytes(128) + b"DICM" + bytes(40), "a DICOM file"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "a video"),
        (b"not a picture", "a text file"),
        (jpeg_with(0xC1, bits=12), "a JPEG of 12 bits"),
        (jpeg_with(0xC3), "a lossless JPEG"),
        (jpeg_with(0xF7), "a JPEG-LS image"),
    ],
)
def test_what_is_no_image_is_named_as_what_it_is(data: bytes, what: str, tmp_path) -> None:
    with pytest.raises(DataError, match=rf"a\.jpg is not an image .*: it is .*{what}"):
        decode_bytes(data, "a.jpg")
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(DataError, match=what):
        read_header(tmp_path / "a.jpg") if data[:2] != b"\xff\xd8" else decode_bytes(data, "a")


@pytest.mark.parametrize("form", ["WEBP", "PNG", "GIF", "BMP", "TIFF"])
def test_a_suffix_says_nothing(form: str) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((6, 5, 3), 128, np.uint8)).save(file, form)
    assert (decode_bytes(file.getvalue(), "a.jpg") == 128).all()


NO_HEIF = "needs pillow-heif: pip install 'reslab[heif]'"


def heic(image: Image.Image, **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason=NO_HEIF)
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, **options)
    return file.getvalue()


def test_heic_is_read() -> None:
    rows = np.linspace(0, 255, 64).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(rows[:, None, None], (64, 48, 3)).copy())
    found = decode_bytes(heic(image, quality=95), "a.jpg")
    assert np.abs(found.astype(int) - np.asarray(image)).max() <= 6
    assert "HEIF" not in Image.OPEN, "other code of the process reads what it read before"


def test_a_turned_heic_is_upright() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason=NO_HEIF)
    left_white = np.zeros((32, 64, 3), np.uint8)
    left_white[:, :32] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    options = {"quality": 95, "exif": exif.tobytes()}
    pillow_heif.encode("RGB", (64, 32), left_white.tobytes(), file, **options)
    found = decode_bytes(file.getvalue(), "a.heic")
    assert found.shape == (64, 32, 3)  # turned clockwise, once
    assert found[:30].mean() > 250
    assert found[34:].mean() < 5


def test_heic_is_named_where_nothing_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    with pytest.raises(DataError, match="it is a HEIC image") as caught:
        read_header(tmp_path / "a.heic")
    assert "pip install 'reslab[heif]'" in caught.value.remedy
