import numpy as np
import pytest
import torch

from reslab.data.image_cache import ImageCache, statistics
from reslab.errors import DataError


@pytest.mark.parametrize("in_chans", [1, 3])
def test_statistics_equal_numpy(in_chans):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (700, 5, 5, in_chans), dtype=np.uint8)
    pixels[:, 2] //= 3
    samples = rng.permutation(700)[:601]
    torch.set_float32_matmul_precision("medium")
    try:
        found = statistics(ImageCache(torch.from_numpy(pixels)), samples)
    finally:
        torch.set_float32_matmul_precision("highest")
    chosen = pixels[samples].astype(np.float64) / 255
    np.testing.assert_allclose(found.mean, chosen.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.std, chosen.std(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(found.mean_image, chosen.mean(axis=0), rtol=1e-7)
    assert found.mean_image.dtype == np.float32


def test_whites_alone_are_summed_exactly():
    found = statistics(
        ImageCache(torch.full((1_000, 2, 2, 3), 255, dtype=torch.uint8)), np.arange(1_000)
    )
    assert found.mean == (1.0, 1.0, 1.0)
    assert found.std == (1 / 255,) * 3, "a set of one colour must not divide by zero"


def test_an_empty_split_is_refused():
    with pytest.raises(DataError):
        statistics(
            ImageCache(torch.zeros(3, 2, 2, 3, dtype=torch.uint8)), np.array([], dtype=np.int64)
        )
