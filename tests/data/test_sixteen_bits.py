"""16-bit files: what is white, in every form that they are stored in."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from handmade import chunk, packed, png, tiff
from PIL import Image

from reslab.data.bit_depth import to_eight_bits, usual_depth
from reslab.data.check import check_dataset
from reslab.data.decode import Rules, decode_array, decode_bytes, decode_image, used_depth
from reslab.data.open import open_dataset
from reslab.data.used_bits import find_used_bits
from reslab.errors import DataError, UsageError
from reslab.training.config import Request
from reslab.training.inputs import decide
from reslab.training.observe import Silent
from reslab.training.preprocessing import planned_preprocess

TWELVE = Rules(bit_depth=12)
# 255 * value / 4095, rounded half up; 4096 and more are white
VALUES = np.array([[0, 8, 9, 2048, 4095, 5000]], dtype=np.uint16)
IN_EIGHT = [0, 0, 1, 128, 255, 255]


@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_values_are_scaled_by_white_and_clipped(depth: int) -> None:
    white = 2**depth - 1
    values = np.arange(65536, dtype=np.uint16)
    expected = np.floor(255 * np.minimum(values, white).astype(float) / white + 0.5)
    np.testing.assert_array_equal(to_eight_bits(values, depth), expected)
    assert usual_depth(white) == depth


@pytest.mark.parametrize("form", ["png", "II", "MM", "II deflate", "MM deflate", "pgm", "pillow"])
def test_twelve_bits_in_sixteen(form: str) -> None:
    order = ">" if form.startswith("MM") else "<"
    data = {
        "png": png(VALUES),
        "pgm": b"P5 6 1 65535\n" + VALUES.astype(">u2").tobytes(),
    }.get(form) or tiff(
        VALUES, bits=16, photometric=1, order=order, deflate=form.endswith("deflate")
    )
    if form == "pillow":
        assert decode_image(Image.fromarray(VALUES), "x", rules=TWELVE).tolist() == [IN_EIGHT]
    else:
        assert decode_bytes(data, "x", rules=TWELVE).tolist() == [IN_EIGHT]
    assert decode_array(VALUES, "x", rules=TWELVE).tolist() == [IN_EIGHT]


@pytest.mark.parametrize("form", ["png", "II", "MM", "II deflate", "MM deflate"])
@pytest.mark.parametrize("alpha", [False, True])
def test_colour_keeps_the_low_byte_where_it_is_needed(form: str, alpha: bool) -> None:
    colour = np.stack([VALUES, VALUES // 2, 4095 - np.minimum(VALUES, 4095)], axis=-1)
    if alpha:
        colour = np.concatenate([colour, np.full_like(colour[..., :1], 4095)], axis=-1)
    order = ">" if form.startswith("MM") else "<"
    data = (
        png(colour)
        if form == "png"
        else tiff(colour, bits=16, photometric=2, order=order, deflate=form.endswith("deflate"))
    )
    expected = np.floor(255 * np.minimum(colour[..., :3], 4095).astype(float) / 4095 + 0.5)
    np.testing.assert_array_equal(decode_bytes(data, "x", rules=TWELVE), expected)
    np.testing.assert_array_equal(decode_array(colour, "x", rules=TWELVE), expected)
    np.testing.assert_array_equal(decode_image(opened(data), "x", rules=TWELVE), expected)
    if not alpha:
        np.testing.assert_array_equal(decode_bytes(data, "x"), colour >> 8)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_grey_with_alpha_of_twelve_bits_is_laid_on_white() -> None:
    values = np.array([[[2048, 4095], [2048, 0], [0, 819]]], dtype=np.uint16)
    # 819 / 4095 = 1/5 of black on white
    found = decode_bytes(png(values), "x", rules=TWELVE)
    assert found[0, :, 0].tolist() == [128, 255, 204]
    assert (found == found[..., :1]).all()


def test_a_transparent_colour_of_sixteen_bits_is_compared_whole() -> None:
    colour = np.array([[[1000, 1000, 1000], [1001, 1000, 1000], [0xE8FF] * 3]], dtype=np.uint16)
    clear = chunk(b"tRNS", np.array([1000, 1000, 1000], ">u2").tobytes())
    found = decode_bytes(png(colour, before=clear), "x")
    assert found.tolist() == [[[255] * 3, [3, 3, 3], [0xE8] * 3]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [1, 4, 8, 16])
@pytest.mark.parametrize("rows_per_strip", [None, 2])
@pytest.mark.parametrize("deflate", [False, True])
def test_white_is_zero_is_inverted(
    order: str, bits: int, rows_per_strip: int | None, deflate: bool
) -> None:
    most = 2**bits - 1
    values = np.random.default_rng(bits).integers(0, most + 1, (5, 16))
    values[0, :2] = 0, most
    options = {"bits": bits, "order": order, "rows_per_strip": rows_per_strip, "deflate": deflate}
    white = decode_bytes(tiff(values, photometric=0, **options), "x")
    black = decode_bytes(tiff(values, photometric=1, **options), "x")
    assert white[0, :2].tolist() == [255, 0]
    assert black[0, :2].tolist() == [0, 255]
    np.testing.assert_array_equal(white, 255 - black)
    np.testing.assert_array_equal(black, np.floor(255 * values / most + 0.5))


def test_models_made_before_keep_white_is_zero_as_it_was() -> None:
    """Their networks were trained on these pixels."""
    values = np.array([[0, 65535, 257]])
    data = tiff(values, bits=16, photometric=0)
    assert decode_bytes(data, "x", rules=Rules(version=1)).tolist() == [[0, 255, 1]]
    assert decode_bytes(data, "x").tolist() == [[255, 0, 254]]


def test_a_palette_of_tiff() -> None:
    palette = np.zeros((3, 256), dtype=np.uint16)
    palette[:, 1], palette[:, 2] = (65535, 0, 257 * 7), (0, 65535, 0)
    data = tiff(np.array([[0, 1, 2]]), bits=8, photometric=3, palette=palette)
    assert decode_bytes(data, "x").tolist() == [[[0, 0, 0], [255, 0, 7], [0, 255, 0]]]


def test_files_that_say_themselves_what_is_white() -> None:
    pgm = b"P5 6 1 4095\n" + np.minimum(VALUES, 4095).astype(">u2").tobytes()
    plain = b"P2 6 1 4095\n" + b" ".join(b"%d" % v for v in np.minimum(VALUES, 4095)[0])
    twelve = tiff(np.minimum(VALUES, 4095), bits=12, photometric=1)
    for data in (pgm, plain, twelve):
        for rules in (Rules(), TWELVE, Rules(bit_depth=8)):
            assert decode_bytes(data, "x", rules=rules).tolist() == [IN_EIGHT]


def test_signed_values_have_no_white() -> None:
    data = tiff(np.array([[0, 1000]]), bits=16, photometric=1, sample_format=2)
    with pytest.raises(DataError, match="x holds signed 16-bit pixels"):
        decode_bytes(data, "x")


def test_packing_is_what_the_standard_says() -> None:
    assert packed(np.array([[1, 0, 1]]), 1, "<") == b"\xa0"
    assert packed(np.array([[0xABC, 0xDEF]]), 12, "<") == b"\xab\xcd\xef"


def write(folder: Path, high: int, count: int = 4, channels: int = 1) -> None:
    folder.mkdir(parents=True)
    draw = np.random.default_rng(high + count)
    shape = (16, 16) if channels == 1 else (16, 16, channels)
    for i in range(count):
        (folder / f"{i}.png").write_bytes(png(draw.integers(0, high, shape)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_the_training_images_decide_together(tmp_path: Path, depth: int, channels: int) -> None:
    write(tmp_path / "a", 2**depth, channels=channels)
    write(tmp_path / "b", 2 ** (depth - 1), channels=channels)
    found = find_used_bits(open_dataset(tmp_path))
    assert found is not None
    assert (found.bit_depth, found.is_coarse) == (depth, False)
    assert used_depth(tmp_path / "b" / "0.png") in ((d, d) for d in range(8, 17))


def reslab(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reslab", *map(str, args)], capture_output=True, text=True
    )


def write_two_classes(folder: Path) -> Path:
    write(folder / "a", 4096, count=12)
    write(folder / "b", 2048, count=12)
    return folder


@pytest.mark.parametrize(("flag", "depth"), [({}, 12), ({"bit_depth": 14}, 14)])
def test_a_run_records_the_range(tmp_path: Path, flag: dict[str, int], depth: int) -> None:
    request = Request(data=str(write_two_classes(tmp_path / "data")), overrides=flag)
    _, chosen, _ = decide(request, Silent())
    said = [c for c in chosen.choices if c.what == "bit-depth"]
    assert [c.chosen for c in said] == ([] if flag else ["12"])
    assert all("no value above 4,095 in 20 16-bit images" in c.why for c in said)
    assert planned_preprocess(request, chosen.recipe, 1).bit_depth == depth


@pytest.mark.slow
def test_train_says_records_and_uses_the_range(tmp_path: Path) -> None:
    data = write_two_classes(tmp_path / "data")
    out = tmp_path / "run"
    flags = ("--steps", "1", "--img-size", "8", "--out", out, "--model", "resnet20")
    trained = reslab("train", data, *flags)
    assert trained.returncode == 0, trained.stderr
    assert "bit-depth: 12 (no value above 4,095" in trained.stderr
    model = json.loads((out / "model" / "model.json").read_text())
    assert model["preprocess"]["bit_depth"] == 12
    # uniform noise up to 4,095 and up to 2,047: means of 1/2 and 1/4 of white
    assert model["preprocess"]["mean"][0] == pytest.approx(0.375, abs=0.02)


def test_check_says_the_range(tmp_path: Path) -> None:
    dataset = open_dataset(write_two_classes(tmp_path / "data"))
    report = check_dataset(dataset, deep=True, workers=1)
    (found,) = (f for f in report.findings if f.kind == "bit-depth")
    assert "24 images of 16 bits whose values use 12: training takes 4,095 as white" in (
        found.message
    )


def test_images_that_differ_in_low_bits_are_no_duplicates(tmp_path: Path) -> None:
    write(tmp_path / "a", 256)
    write(tmp_path / "b", 200)
    report = check_dataset(open_dataset(tmp_path), deep=True, workers=1)
    assert {f.kind for f in report.findings} == {"class-tiny", "bit-depth"}


def test_a_few_bright_pixels_are_said_to_cost_the_others(tmp_path: Path) -> None:
    write(tmp_path / "a", 1024)
    write(tmp_path / "b", 1024)
    values = np.random.default_rng(0).integers(0, 1024, (64, 64))
    values[5, 5] = 65535
    (tmp_path / "b" / "hot.png").write_bytes(png(values))
    report = check_dataset(open_dataset(tmp_path), deep=True, workers=1)
    (found,) = (f for f in report.findings if f.kind == "bit-depth")
    assert "999 of 1,000 pixels use 10" in found.message
    assert "--bit-depth 10" in found.remedy


def test_the_depth_is_held_in_bounds(tmp_path: Path) -> None:
    from reslab.data.preprocess import Preprocess

    with pytest.raises(UsageError, match=r"bit_depth must be in 1\.\.16, received 17"):
        Preprocess(img_size=8, resize_size=8, bit_depth=17)
