import numpy as np
import pytest
import torch

from reslab.data.augment import Augment
from reslab.data.sampler import Draw, SampleRng
from reslab.data.transforms import recolor


def visit(count: int) -> SampleRng:
    return SampleRng(7, torch.zeros(count, dtype=torch.int64), torch.arange(count))


def pixels(count: int, channels: int = 3, low: int = 90, high: int = 140) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(low, high, (count, 6, 6, channels), dtype=np.uint8))


def step_by_step(image: np.ndarray, b: float, c: float, s: float) -> np.ndarray:
    """Brightness, then contrast, then saturation, each as it is defined."""
    luma = np.array([0.299, 0.587, 0.114])
    image = b * image
    image = c * (image - (image @ luma).mean()) + (image @ luma).mean()
    grey = (image @ luma)[..., None]
    return s * image + (1 - s) * grey


def test_jitter_equals_its_three_steps():
    now, batch = visit(12), pixels(12)
    found = recolor(batch, now, Augment(color_jitter=0.2)).numpy()
    draws = (Draw.BRIGHTNESS, Draw.CONTRAST, Draw.SATURATION)
    factors = torch.stack([now.uniform(draw, 0.8, 1.2) for draw in draws], 1).tolist()
    for i in range(12):
        expected = step_by_step(batch[i].numpy().astype(float), *factors[i])
        np.testing.assert_allclose(found[i], expected.clip(0, 255), atol=0.02)


def test_factors_are_centred_on_one():
    grey = torch.full((2_000, 2, 2, 3), 100, dtype=torch.uint8)
    brightness = recolor(grey, visit(2_000), Augment(color_jitter=0.5))[:, 0, 0, 0] / 100
    assert brightness.min().item() == pytest.approx(0.5, abs=0.01)
    assert brightness.max().item() == pytest.approx(1.5, abs=0.01)
    assert brightness.mean().item() == pytest.approx(1.0, abs=0.02)


def test_grey_images_change_brightness_and_contrast_only():
    now, batch = visit(5), pixels(5, channels=1)
    found = recolor(batch, now, Augment(color_jitter=0.3, pca_color=0.1)).numpy()
    b = now.uniform(Draw.BRIGHTNESS, 0.7, 1.3).numpy()
    c = now.uniform(Draw.CONTRAST, 0.7, 1.3).numpy()
    for i in range(5):
        image = b[i] * batch[i].numpy().astype(float)
        np.testing.assert_allclose(
            found[i], c[i] * (image - image.mean()) + image.mean(), atol=0.02
        )


def test_the_colour_shift_is_along_the_principal_components():
    count = 4_000
    batch = torch.full((count, 1, 1, 3), 128, dtype=torch.uint8)
    shift = recolor(batch, visit(count), Augment(pca_color=0.1)).view(count, 3).double() - 128
    covariance = torch.cov(shift.T) / (0.1 * 255) ** 2
    components = torch.tensor(
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    ).double()
    expected = (
        components
        @ torch.diag(torch.tensor([0.2175, 0.0188, 0.0045]).double() ** 2)
        @ (components.T)
    )
    torch.testing.assert_close(covariance, expected, atol=1.5e-3, rtol=0)
    assert shift.mean(0).abs().max() < 0.4


def test_colours_are_clipped_to_their_range():
    found = recolor(
        pixels(50, low=0, high=255), visit(50), Augment(color_jitter=0.9, pca_color=1.0)
    )
    assert found.min() == 0
    assert found.max() == 255


def test_the_input_is_left_alone():
    batch = pixels(3)
    before = batch.clone()
    recolor(batch, visit(3), Augment(color_jitter=0.5, pca_color=0.5))
    assert torch.equal(batch, before)
