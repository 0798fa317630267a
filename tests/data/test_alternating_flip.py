"""Mirroring in turn: both sides of every image in any two visits, chance for the first."""

import pytest
import torch

from reslab.data.augment import Augment
from reslab.data.preprocess import Preprocess
from reslab.data.sampler import SampleRng
from reslab.data.transforms import mirrored, random_view


def visit(epoch: int, seed: int = 0, count: int = 400) -> SampleRng:
    samples = torch.arange(count) * 7 + 2
    return SampleRng(seed, torch.full_like(samples, epoch), samples)


def test_every_other_visit_shows_the_other_side():
    first = mirrored(visit(0), alternating=True)
    assert 150 < first.sum() < 250
    for epoch in range(1, 6):
        again = mirrored(visit(epoch), alternating=True)
        assert torch.equal(again, first ^ (epoch % 2 == 1))


def test_visits_are_counted_for_each_image():
    """Samples that balancing repeats are visited more often than others."""
    whole = visit(0, count=6)
    epochs = torch.tensor([0, 1, 2, 3, 4, 5])
    first = mirrored(whole, alternating=True)
    mixed = mirrored(SampleRng(0, epochs, whole.samples), alternating=True)
    assert torch.equal(mixed, first ^ (epochs % 2 == 1))


def test_by_chance_visits_have_nothing_to_do_with_each_other():
    same = mirrored(visit(0), alternating=False) == mirrored(visit(1), alternating=False)
    assert 150 < same.sum() < 250
    assert torch.equal(mirrored(visit(0), False), mirrored(visit(0), True))
    assert not torch.equal(mirrored(visit(0), True), mirrored(visit(0, seed=1), True))


@pytest.mark.parametrize("other", [{}, {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)}])
def test_views_are_mirrored_so(other):
    preprocess = Preprocess(img_size=8, resize_size=8, in_chans=3)
    pixels = torch.randint(0, 256, (400, 8, 8, 3), dtype=torch.uint8)
    straight = random_view(pixels, visit(0), Augment(alternating_flip=True, **other), preprocess)
    augment = Augment(flip=True, alternating_flip=True, **other)
    for epoch in (0, 1):
        views = random_view(pixels, visit(epoch), augment, preprocess)
        chosen = mirrored(visit(epoch), alternating=True)
        expected = torch.where(chosen[:, None, None, None], straight.flip(-1), straight)
        torch.testing.assert_close(views, expected)
