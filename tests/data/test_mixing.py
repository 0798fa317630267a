import pytest
import torch

from reslab.data.augment import Augment
from reslab.data.sampler import SampleRng
from reslab.data.transforms import mix, partners


def visit(count: int, epoch: int = 0) -> SampleRng:
    return SampleRng(2, torch.full((count,), epoch), torch.arange(count))


def images(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, count, 3, 8, 8, generator=generator).unbind())


def test_partners_come_from_the_training_split_and_change():
    indices = torch.arange(100, 120)
    found = partners(visit(2_000), indices)
    counts = torch.bincount(found - 100, minlength=20)
    assert len(counts) == 20
    assert ((counts - 100).abs() < 50).all()
    assert not torch.equal(partners(visit(2_000, epoch=1), indices), found)


def test_mixup_is_the_weighted_sum():
    x, y = images(64)
    mixed, weight = mix(x.clone(), y.clone(), visit(64), Augment(mixup=0.4))
    w = weight[:, None, None, None]
    torch.testing.assert_close(mixed, w * x + (1 - w) * y)
    assert 0 <= weight.min() < 0.1
    assert 0.9 < weight.max() <= 1


def test_cutmix_weight_is_the_share_of_pixels_kept():
    x, y = torch.zeros(300, 1, 8, 8), torch.ones(300, 1, 8, 8)
    mixed, weight = mix(x, y, visit(300), Augment(cutmix=1.0))
    assert set(mixed.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(1 - mixed.mean(dim=(1, 2, 3)), weight)
    assert weight.std() > 0.1
    for box in mixed[:, 0] == 1:
        assert box.sum() == box.any(0).sum() * box.any(1).sum()


def test_with_both_each_image_takes_one():
    x, y = torch.zeros(400, 1, 8, 8), torch.ones(400, 1, 8, 8)
    mixed, weight = mix(x, y, visit(400), Augment(mixup=1.0, cutmix=1.0))
    flat = mixed.flatten(1)
    pasted = ((flat == 0) | (flat == 1)).all(dim=1)
    assert 150 < pasted.sum() < 250
    assert torch.equal(flat[~pasted].amin(1), flat[~pasted].amax(1))
    torch.testing.assert_close(1 - flat.mean(1), weight, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "augment", [Augment(mixup=0.2), Augment(cutmix=1.0), Augment(mixup=1, cutmix=1)]
)
def test_a_mixture_is_the_same_whatever_else_is_in_the_batch(augment):
    x, y = images(21)
    whole = visit(21)
    mixed, weight = mix(x.clone(), y.clone(), whole, augment)
    for chosen in ([3], [20, 0], list(range(5, 18))):
        part = SampleRng(2, whole.epochs[chosen], whole.samples[chosen])
        again, share = mix(x[chosen], y[chosen], part, augment)
        assert torch.equal(again, mixed[chosen])
        assert torch.equal(share, weight[chosen])
