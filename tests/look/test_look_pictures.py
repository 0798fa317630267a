"""Pixels from network input, which images are shown, and what was measured of a surface."""

import numpy as np
import pytest
import torch

from reslab.data.preprocess import Preprocess, network_input
from reslab.look.loss_landscape import measured_square
from reslab.look.model_and_images import spread
from reslab.look.pictures import around_gray, cut, enlarged, pixels_of, smooth


@pytest.mark.parametrize("mean_image", [False, True])
@pytest.mark.parametrize("chans", [1, 3])
def test_pixels_come_back_as_they_went_in(chans, mean_image):
    generator = np.random.default_rng(0)
    picture = generator.random((12, 12, chans), dtype=np.float32) if mean_image else None
    preprocess = Preprocess(
        img_size=8, resize_size=12, in_chans=chans, mean=(0.5, 0.4, 0.3)[:chans],
        std=(0.2, 0.3, 0.4)[:chans], mean_image=picture,
    )  # fmt: skip
    fitted = torch.from_numpy(generator.integers(0, 256, (3, 12, 12, chans), dtype=np.uint8))
    found = pixels_of(network_input(fitted, preprocess), preprocess)
    expected = fitted[:, 2:10, 2:10].expand(-1, -1, -1, 3).numpy()
    assert np.array_equal(np.stack(found), expected)


def test_grey_is_zero_and_the_strongest_value_is_full():
    values = torch.zeros(3, 2, 2)
    values[0, 0, 0], values[1, 1, 1] = 2.0, -1.0
    found = around_gray(values)
    assert found[0, 0].tolist() == [255, 128, 128]
    assert found[1, 1].tolist() == [128, 64, 128]
    assert around_gray(torch.zeros(1, 2, 2)).tolist() == [[[128] * 3] * 2] * 2


def test_cutting_stays_inside():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(cut(pixels, -1, 3, 2), pixels[0:2, 2:4])
    assert cut(pixels, 0, 0, 9).shape == (4, 4, 3)


def test_small_pictures_grow_by_squares():
    pixels = np.array([[[0] * 3, [255] * 3]], dtype=np.uint8)
    found = enlarged(pixels, 8)
    assert found.shape == (4, 8, 3)
    assert np.array_equal(found, np.repeat(np.repeat(pixels, 4, 0), 4, 1))
    assert smooth(torch.eye(2), 6).shape == (6, 6)


def test_the_shown_images_go_round_the_classes():
    labels = np.array([0] * 50 + [1] * 3 + [2] * 2)
    chosen = spread(labels, 5, seed=4)
    assert sorted(labels[list(chosen)].tolist()) in (
        [0, 0, 1, 1, 2],
        [0, 1, 1, 2, 2],
        [0, 0, 1, 2, 2],
    )
    assert chosen == spread(labels, 5, seed=4)
    assert len({spread(labels, 5, seed=s) for s in range(5)}) > 1
    assert len(spread(labels, 500, seed=0)) == 55


def test_a_surface_without_time_is_cut_to_what_was_measured():
    grid = np.ones((9, 9))
    grid[0, 4] = grid[1, 1] = np.nan
    assert measured_square([np.ones((9, 9)), grid]) == slice(2, 7)
    assert measured_square([np.ones((9, 9))]) == slice(0, 9)
    assert measured_square([np.full((9, 9), np.nan)]) == slice(3, 6)
