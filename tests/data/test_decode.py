"""The one conversion, held against pixels worked out by hand."""

import io
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from reslab.data import decode
from reslab.data.decode import MAX_PIXELS, decode_bytes, decode_file, decode_image, read_header
from reslab.errors import DataError

CORNERS = np.array([[[250, 0, 0], [0, 240, 0]], [[0, 0, 230], [200, 200, 0]]], dtype=np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def decoded(image: Image.Image, form: str = "PNG", **options: object) -> np.ndarray:
    return decode_bytes(encoded(image, form, **options), "x")


def test_rgb_and_grey_come_out_as_they_went_in() -> None:
    assert decoded(Image.fromarray(CORNERS)).tolist() == CORNERS.tolist()
    grey = np.array([[0, 7], [130, 255]], dtype=np.uint8)
    result = decoded(Image.fromarray(grey))
    assert result.tolist() == grey.tolist()
    assert result.flags.writeable  # torch.from_numpy asks for that


def test_one_bit_becomes_black_and_white() -> None:
    bits = Image.fromarray(np.array([[0, 255], [255, 0]], dtype=np.uint8)).convert("1")
    assert decoded(bits).tolist() == [[0, 255], [255, 0]]


def test_transparency_is_laid_on_white() -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 51]]], dtype=np.uint8)
    # 51 / 255 = 1/5 of the colour, 4/5 of white
    assert decoded(Image.fromarray(pixels, "RGBA")).tolist() == [
        [[10, 20, 30], [255, 255, 255], [204, 224, 244]]
    ]
    grey = np.array([[[10, 255], [10, 0], [100, 51]]], dtype=np.uint8)
    assert decoded(Image.fromarray(grey, "LA")).tolist() == [[10, 255, 224]]


def test_palette_with_and_without_transparency() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([0, 0, 0, 200, 100, 50, 9, 8, 7])
    image.putdata([0, 1, 2])
    assert decoded(image).tolist() == [[[0, 0, 0], [200, 100, 50], [9, 8, 7]]]
    seen_through = decoded(image, transparency=bytes([255, 0, 51]))
    assert seen_through.tolist() == [[[0, 0, 0], [255, 255, 255], [206, 206, 205]]]


def test_a_transparent_colour_of_rgb_is_white() -> None:
    image = Image.fromarray(CORNERS)
    result = decoded(image, transparency=(250, 0, 0))
    assert result[0].tolist() == [[255, 255, 255], [0, 240, 0]]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(form: str) -> None:
    values = np.array([[0, 128, 129, 257], [256, 32768, 65278, 65535]], dtype=np.uint16)
    # value * 255 / 65535, rounded
    expected = [[0, 0, 1, 1], [1, 128, 254, 255]]
    assert decoded(Image.fromarray(values), form).tolist() == expected


def test_a_transparent_value_of_sixteen_bits_is_white() -> None:
    values = np.array([[0, 1000, 1001, 65535]], dtype=np.uint16)
    data = encoded(Image.fromarray(values))
    length = b"\x00\x00\x00\x02"
    chunk = b"tRNS" + (1000).to_bytes(2, "big")
    at = data.index(b"IDAT") - 4
    data = data[:at] + length + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[at:]
    assert decode_bytes(data, "x").tolist() == [[0, 255, 4, 255]]


def test_an_image_of_pillow_is_converted_as_its_file() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([0, 0, 0, 200, 100, 50, 9, 8, 7])
    image.putdata([0, 1, 2])
    data = encoded(image, transparency=bytes([255, 0, 51]))
    assert (
        decode_image(Image.open(io.BytesIO(data)), "x").tolist() == decode_bytes(data, "x").tolist()
    )
    with pytest.raises(DataError, match="x holds floating-point pixels"):
        decode_image(Image.new("F", (3, 3)), "x")
    with pytest.raises(DataError, match=r"x has no pixels \(0x3\)"):
        decode_image(Image.new("L", (0, 3)), "x")


def test_a_pgm_of_sixteen_bits() -> None:
    data = b"P5 3 1 65535\n" + np.array([0, 257 * 40, 65535], dtype=">u2").tobytes()
    assert decode_bytes(data, "x.pgm").tolist() == [[0, 40, 255]]


def test_cmyk_in_tiff_and_inverted_in_jpeg() -> None:
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 255]]], np.uint8)
    expected = [[[255, 255, 255], [0, 255, 255], [255, 0, 0], [0, 0, 0]]]
    assert decoded(Image.fromarray(inks, "CMYK"), "TIFF").tolist() == expected
    blocks = inks.repeat(8, axis=0).repeat(8, axis=1)
    jpeg = decoded(Image.fromarray(blocks, "CMYK"), "JPEG", quality=100, subsampling=0)
    assert np.abs(jpeg[4, 4::8].astype(int) - expected[0]).max() <= 3


def test_grey_jpeg_stays_grey() -> None:
    image = Image.new("L", (8, 4), 77)
    result = decoded(image, "JPEG")
    assert result.shape == (4, 8)
    assert (result == 77).all()


@pytest.mark.parametrize(
    ("orientation", "corners"),
    [(1, "abcd"), (2, "badc"), (3, "dcba"), (4, "cdab"),
     (5, "acbd"), (6, "cadb"), (7, "dbca"), (8, "bdac")],
)  # fmt: skip
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation(form: str, orientation: int, corners: str) -> None:
    """Four blocks a b / c d; the standard's table says where each comes to lie."""
    colours = dict(zip("abcd", CORNERS.reshape(4, 3).tolist(), strict=True))
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = Image.fromarray(CORNERS.repeat(16, axis=0).repeat(16, axis=1))
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    result = decoded(blocks, form, exif=exif, **lossless.get(form, {}))
    found = result[[8, 8, 24, 24], [8, 24, 8, 24]].astype(int)
    assert np.abs(found - [colours[letter] for letter in corners]).max() <= 3


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    for form in ("GIF", "PNG", "TIFF"):
        result = decoded(frames[0], form, save_all=True, append_images=frames[1:])
        assert (result == [255, 0, 0]).all()


def test_float_and_32_bit_tiff_are_refused() -> None:
    for mode, kind in (("F", "floating-point"), ("I", "32-bit integer")):
        with pytest.raises(DataError, match=f"x holds {kind} pixels") as caught:
            decoded(Image.new(mode, (3, 3)), "TIFF")
        assert "8 or 16 bits" in caught.value.remedy


def test_the_pixel_cap_is_tested_on_the_header(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5) + 1
    file = tmp_path / "huge.png"
    # a true header and hardly any data: decoding it would fail otherwise
    whole = encoded(Image.new("1", (1, 1)))
    header = bytearray(whole[:33])
    header[16:24] = side.to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    file.write_bytes(bytes(header) + whole[33:])
    for read in (decode_file, read_header):
        with pytest.raises(DataError, match=rf"huge\.png is too large: {side}x{side} pixels"):
            read(file)
    header[16:24] = (200_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    file.write_bytes(bytes(header) + whole[33:])
    with pytest.raises(DataError, match=r"huge\.png is too large"):
        decode_file(file)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    empty, text, folder = tmp_path / "empty.jpg", tmp_path / "text.jpg", tmp_path / "folder.jpg"
    empty.touch()
    text.write_text("no image at all")
    folder.mkdir()
    cases = {
        empty: r"empty\.jpg is empty \(0 bytes\)$",
        text: r"text\.jpg is not an image",
        folder: r"folder\.jpg is not a file",
        tmp_path / "gone.jpg": r"gone\.jpg does not exist",
    }
    for path, message in cases.items():
        for read in (decode_file, read_header):
            with pytest.raises(DataError, match=message):
                read(path)
    with pytest.raises(DataError, match="upload is empty"):
        decode_bytes(b"", "upload")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="is not a file"):
        decode_file(tmp_path / "pipe.jpg")


def test_truncated_files_are_called_truncated(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for form in ("JPEG", "PNG", "GIF"):
        data = encoded(Image.fromarray(noise), form)
        (tmp_path / f"a.{form}").write_bytes(data[: len(data) // 2])
        with pytest.raises(DataError, match=rf"a\.{form} is truncated"):
            decode_file(tmp_path / f"a.{form}")


def test_postscript_is_never_run() -> None:
    with pytest.raises(DataError, match="not an image"):
        decode_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "a.eps")


def test_heic_gets_a_remedy() -> None:
    data = b"\0\0\0\x18ftypheic" + bytes(40)
    with pytest.raises(DataError) as caught:
        decode_bytes(data, "phone.heic")
    assert "JPEG" in caught.value.remedy


def test_names_are_shown_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        decode_file(tmp_path / "a\nb\udcff.jpg")
    assert str(caught.value).endswith("a\\nb\\xff.jpg does not exist")


def test_damaged_exif_does_not_cost_the_image() -> None:
    data = encoded(
        Image.new("L", (8, 8), 50), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff rubbish"
    )
    assert (decode_bytes(data, "x") == 50).all()


def test_at_least_scales_photographs_only_as_far_as_asked() -> None:
    gradient = np.linspace(0, 255, 640).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(gradient, (480, 640)).copy())
    data = encoded(image, "JPEG", quality=95)
    assert decode_bytes(data, "x").shape == (480, 640)
    for side, shape in ((100, (120, 160)), (120, (120, 160)), (121, (240, 320)), (481, (480, 640))):
        small = decode_bytes(data, "x", at_least=side)
        assert small.shape == shape
        expected = np.asarray(image.resize(shape[::-1], Image.Resampling.BOX), dtype=int)
        assert np.abs(small - expected).max() <= 4


def test_header_says_what_is_stored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    header = read_header(tmp_path / "a.jpg")
    assert (header.width, header.height, header.mode) == (30, 20, "RGB")
    assert (header.orientation, header.animated) == (6, False)
    assert decode_file(tmp_path / "a.jpg").shape == (30, 20, 3)


def test_pillows_warnings_stay_inside_and_filters_are_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Warnings are errors here, and Pillow warns of a bomb from this size on."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    data = encoded(Image.new("RGB", (5, 5)), "TIFF")
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        gate = threading.Barrier(4)

        def work(number: int) -> None:
            gate.wait()
            for _ in range(10):
                decode_bytes(data, "x")
                if number == 0:
                    decode._QUIET.__enter__()
                    decode._QUIET.__exit__(None, None, None)

        list(pool.map(work, range(4)))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert decode_bytes(data, "x").shape == (5, 5, 3)
    assert heard == []
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", stacklevel=1)


@pytest.mark.skipif(
    not features.check("avif"), reason="needs Pillow with AVIF: its own wheel has it"
)
def test_avif() -> None:
    result = decoded(Image.new("RGB", (16, 16), (200, 30, 30)), "AVIF", quality=100)
    assert np.abs(result.astype(int) - [200, 30, 30]).max() <= 4
