import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.data.preprocess import Preprocess, center_crop, fit, fit_file, network_input, normalize
from reslab.errors import DataError, UsageError
from tolerance import rounding


def gradient(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)


def test_normalise_golden():
    preprocess = Preprocess(img_size=1, resize_size=1, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 0.1))
    x = normalize(torch.tensor([[[[255, 0, 51]]]], dtype=torch.uint8), preprocess)
    assert x.flatten().tolist() == pytest.approx([1.0, -1.0, 2.0], rel=1e-6)


@pytest.mark.parametrize("in_chans", [1, 3])
@pytest.mark.parametrize("per_pixel", [False, True])
def test_normalise_equals_numpy(in_chans, per_pixel):
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 256, (4, 6, 6, in_chans), dtype=np.uint8)
    mean_image = rng.random((6, 6, in_chans), dtype=np.float32) if per_pixel else None
    preprocess = Preprocess(
        img_size=4,
        resize_size=6,
        in_chans=in_chans,
        mean=(0.4, 0.5, 0.6)[:in_chans],
        std=(0.2, 0.3, 0.4)[:in_chans],
        mean_image=mean_image,
    )
    mean = mean_image if per_pixel else np.array(preprocess.mean)
    expected = ((batch / 255 - mean) / np.array(preprocess.std)).transpose(0, 3, 1, 2)
    x = normalize(torch.from_numpy(batch), preprocess)
    bound = rounding(torch.float32, 4, scale=np.abs(expected).max())
    np.testing.assert_allclose(x.numpy(), expected, rtol=0, atol=bound)
    assert x.is_contiguous(memory_format=torch.channels_last)
    cut = network_input(torch.from_numpy(batch), preprocess)
    np.testing.assert_allclose(cut.numpy(), expected[:, :, 1:5, 1:5], rtol=0, atol=bound)


def test_normalise_leaves_its_input_alone():
    batch = torch.full((1, 2, 2, 3), 7.0)
    normalize(batch, Preprocess(img_size=2, resize_size=2))
    assert (batch == 7).all()


def test_a_changed_copy_has_constants_of_its_own():
    preprocess = Preprocess(img_size=2, resize_size=2)
    batch = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    assert normalize(batch, preprocess).unique().tolist() == [-1.0]
    changed = dataclasses.replace(preprocess, mean_image=np.full((2, 2, 3), 0.25, np.float32))
    assert normalize(batch, changed).unique().tolist() == [-0.5]
    assert changed == dataclasses.replace(preprocess)


def test_centre_of_odd_slack_lies_towards_the_top_left():
    x = torch.arange(25).view(5, 5)
    assert center_crop(x, 2).tolist() == [[6, 7], [11, 12]]


def test_fit_leaves_a_fitting_image_as_it_is():
    pixels = gradient(8, 8)
    assert np.array_equal(fit(pixels, Preprocess(img_size=8, resize_size=8)), pixels)


def test_fit_squash_equals_pillow():
    pixels = gradient(30, 50)
    expected = np.asarray(Image.fromarray(pixels).resize((20, 20), Image.Resampling.BICUBIC))
    preprocess = Preprocess(img_size=20, resize_size=20, interpolation="bicubic")
    assert np.array_equal(fit(pixels, preprocess), expected)


def test_fit_crop_cuts_the_longer_side_centrally():
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 200
    preprocess = Preprocess(img_size=10, resize_size=10, resize="crop")
    assert (fit(pixels, preprocess) == 200).all()
    turned = fit(pixels.transpose(1, 0, 2).copy(), preprocess)
    assert (turned == 200).all()


def test_fit_pad_adds_grey_on_both_sides():
    pixels = np.full((10, 40, 3), 200, np.uint8)
    fitted = fit(pixels, Preprocess(img_size=20, resize_size=20, resize="pad"))
    assert (fitted[7:12] == 200).all()
    assert (fitted[:7] == 128).all()
    assert (fitted[12:] == 128).all()


@pytest.mark.parametrize("shape", [(12, 12), (7, 9)])
def test_fit_converts_between_grey_and_colour(shape):
    grey = np.full(shape, 90, np.uint8)
    colour = fit(grey, Preprocess(img_size=12, resize_size=12))
    assert colour.shape == (12, 12, 3)
    assert (colour == 90).all()
    preprocess = Preprocess(img_size=12, resize_size=12, in_chans=1, mean=(0.5,), std=(0.5,))
    back = fit(np.full((*shape, 3), 90, np.uint8), preprocess)
    assert back.shape == (12, 12, 1)
    assert (back == 90).all()


def test_fit_file_of_a_large_jpeg_is_close_to_the_exact_way(tmp_path):
    pixels = gradient(400, 600)
    path = tmp_path / "large.jpg"
    Image.fromarray(pixels).save(path, quality=95)
    preprocess = Preprocess(img_size=64, resize_size=64)
    exact = fit(np.asarray(Image.open(path)), preprocess)
    difference = np.abs(fit_file(path, preprocess).astype(int) - exact)[..., :2]
    assert difference.mean() < 1.5


def test_fit_file_names_what_it_cannot_read(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        fit_file(path, Preprocess(img_size=8, resize_size=8))


@pytest.mark.parametrize("per_pixel", [False, True])
def test_json_round_trip(per_pixel):
    image = np.zeros((8, 8, 3), np.float32) if per_pixel else None
    preprocess = Preprocess(img_size=6, resize_size=8, resize="pad", mean_image=image)
    found = Preprocess.from_json(preprocess.to_json(), image)
    assert found == preprocess
    assert found.mean_image is image


@pytest.mark.parametrize(
    "fields",
    [
        {"img_size": 0},
        {"img_size": 9},
        {"in_chans": 2},
        {"in_chans": 1},
        {"resize": "sqash"},
        {"interpolation": "nearest"},
        {"std": (0.5,)},
        {"mean": (0.5, -0.1, 0.5)},
        {"mean": (0.5, float("nan"), 0.5)},
        {"std": (0.5, 0.0, 0.5)},
        {"std": (0.5, float("inf"), 0.5)},
        {"std": (0.5, float("nan"), 0.5)},
    ],
)
def test_what_is_not_allowed_is_refused(fields):
    with pytest.raises(UsageError):
        Preprocess(**{"img_size": 8, "resize_size": 8, **fields})


@pytest.mark.parametrize(
    "fields", [{"mean": (123.675, 116.28, 103.53)}, {"std": (58.4, 57.1, 57.4)}]
)
def test_values_of_whole_pixels_are_to_be_divided(fields):
    with pytest.raises(UsageError, match="divide by 255"):
        Preprocess(img_size=8, resize_size=8, **fields)


def test_a_near_miss_is_explained():
    with pytest.raises(UsageError, match="did you mean 'squash'"):
        Preprocess(img_size=8, resize_size=8, resize="sqash")
