import base64
import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reslab.charts.pixels import LARGEST, picture_uri
from reslab.report.pictures import most_doubtful, surest_mistakes


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


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_surest_and_most_doubtful_agree_with_a_plain_search(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    chances = generator.dirichlet(np.ones(classes), 30)
    labels = generator.integers(0, classes, 30)
    wrong = [i for i in range(30) if max(range(classes), key=lambda k: chances[i, k]) != labels[i]]
    expected = sorted(wrong, key=lambda i: -max(chances[i]))[:5]
    assert surest_mistakes(chances, labels, 5).tolist() == expected

    def margin(i: int) -> float:
        second, first = sorted(chances[i])[-2:]
        return float(first - second)

    assert most_doubtful(chances, 5).tolist() == sorted(range(30), key=margin)[:5]
