import dataclasses
import math

import numpy as np
import pytest
import torch

from reslab.data.augment import Augment
from reslab.data.preprocess import Preprocess, network_input, normalize
from reslab.data.sampler import Draw, SampleRng
from reslab.data.transforms import mix, mixes, pad_crop_flip, random_view, warp
from reslab.errors import UsageError

AUGMENTS = [
    Augment(),
    Augment(flip=True),
    Augment(pad_crop=3, flip=True),
    Augment(pad_crop=2, flip=True, color_jitter=0.4, pca_color=0.1, random_erasing=0.5),
    Augment(crop_scale=(0.2, 1.0), flip=True, rotate=20.0),
    Augment(pad_crop=1, rotate=5.0, color_jitter=0.2, random_erasing=1.0),
]


def visit(count: int, seed: int = 0, epoch: int = 0) -> SampleRng:
    samples = torch.arange(count) * 3 + 1
    return SampleRng(seed, torch.full_like(samples, epoch), samples)


def pixels(count: int, size: int, channels: int = 3) -> torch.Tensor:
    rng = np.random.default_rng(count)
    return torch.from_numpy(rng.integers(0, 256, (count, size, size, channels), dtype=np.uint8))


def part(whole: SampleRng, chosen: list[int]) -> SampleRng:
    return SampleRng(whole.seed, whole.epochs[chosen], whole.samples[chosen])


@pytest.mark.parametrize("augment", AUGMENTS)
@pytest.mark.parametrize("in_chans", [1, 3])
def test_a_view_is_the_same_whatever_else_is_in_the_batch(augment, in_chans):
    preprocess = Preprocess(
        img_size=17,
        resize_size=19,
        in_chans=in_chans,
        mean=(0.5,) * in_chans,
        std=(0.3,) * in_chans,
    )
    batch, whole = pixels(37, 19, in_chans), visit(37, seed=5, epoch=2)
    views = random_view(batch, whole, augment, preprocess)
    assert views.shape == (37, in_chans, 17, 17)
    assert views.dtype == torch.float32
    assert views.is_contiguous(memory_format=torch.channels_last)
    for chosen in ([0], [36], list(range(36, -1, -1)), [5, 5, 20], list(range(10, 23))):
        again = random_view(batch[chosen], part(whole, chosen), augment, preprocess)
        assert torch.equal(again, views[chosen])


@pytest.mark.parametrize("augment", AUGMENTS)
def test_a_view_does_not_depend_on_the_number_of_threads(augment):
    preprocess = Preprocess(img_size=32, resize_size=32)
    batch, whole = pixels(101, 32), visit(101)
    num_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = random_view(batch, whole, augment, preprocess)
        torch.set_num_threads(3)
        assert torch.equal(random_view(batch, whole, augment, preprocess), one)
    finally:
        torch.set_num_threads(num_threads)
    assert torch.equal(
        random_view(batch[77:78], part(whole, [77]), augment, preprocess), one[77:78]
    )


@pytest.mark.parametrize("augment", AUGMENTS[1:])
def test_views_change_with_epoch_seed_and_sample(augment):
    preprocess = Preprocess(img_size=16, resize_size=16)
    batch = pixels(1, 16).expand(32, 16, 16, 3)
    views = random_view(batch, visit(32), augment, preprocess)
    for other in (visit(32, epoch=1), visit(32, seed=1)):
        assert not torch.equal(random_view(batch, other, augment, preprocess), views)
    assert len({tuple(view.flatten().tolist()) for view in views}) > 1


@pytest.mark.parametrize(("resize_size", "img_size"), [(16, 16), (20, 16)])
def test_with_everything_off_it_is_the_view_of_evaluation(resize_size, img_size):
    preprocess = Preprocess(img_size=img_size, resize_size=resize_size)
    batch = pixels(5, resize_size)
    views = random_view(batch, visit(5), Augment(), preprocess)
    assert torch.equal(views, network_input(batch, preprocess))


@pytest.mark.parametrize(("padding", "size"), [(4, 32), (0, 28), (3, 38)])
@pytest.mark.parametrize("per_pixel", [False, True])
def test_pad_crop_flip_equals_one_image_at_a_time(padding, size, per_pixel):
    mean = np.random.default_rng(1).random((32, 32, 3), dtype=np.float32) if per_pixel else None
    preprocess = Preprocess(img_size=32, resize_size=32, mean_image=mean)
    batch, now = pixels(50, 32), visit(50)
    normal = normalize(batch, preprocess)
    views = pad_crop_flip(normal, now, padding, size, flip=True)
    slack = 32 + 2 * padding - size + 1
    tops = now.integers(Draw.TOP, slack).tolist()
    lefts = now.integers(Draw.LEFT, slack).tolist()
    mirrored = (now.uniform(Draw.FLIP) < 0.5).tolist()
    for i in range(50):
        padded = np.pad(normal[i].numpy(), ((0, 0), (padding, padding), (padding, padding)))
        cut = padded[:, tops[i] : tops[i] + size, lefts[i] : lefts[i] + size]
        assert np.array_equal(views[i].numpy(), cut[:, :, ::-1] if mirrored[i] else cut)


def test_places_and_mirrors_are_drawn_evenly():
    now = visit(9_000)
    for draw in (Draw.TOP, Draw.LEFT):
        counts = torch.bincount(now.integers(draw, 9))
        assert ((counts - 1_000).abs() < 130).all()
    assert abs((now.uniform(Draw.FLIP) < 0.5).float().mean().item() - 0.5) < 0.02


def test_padding_is_the_mean_colour():
    preprocess = Preprocess(img_size=8, resize_size=8, mean=(0.1, 0.2, 0.3))
    white = torch.full((64, 8, 8, 3), 255, dtype=torch.uint8)
    views = random_view(white, visit(64), Augment(pad_crop=4), preprocess)
    assert (views == 0).any(dim=1).any(dim=0).any()
    inside = views[views != 0].unique()
    assert inside.tolist() == pytest.approx([1.4, 1.6, 1.8], abs=1e-5)


def slow_warp(image: np.ndarray, now: SampleRng, augment: Augment, size: int) -> np.ndarray:
    """Sample one (C, R, R) image point by point; draws are looked up, geometry is not."""
    side = image.shape[-1]
    width = height = size / side
    if augment.crop_scale is not None:
        area = now.uniform(Draw.CROP_AREA, *augment.crop_scale).item()
        ratio = now.log_uniform(Draw.CROP_RATIO, *augment.crop_ratio).item()
        ratio = min(max(ratio, area), 1 / area)
        width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
    middle_x = now.uniform(Draw.CROP_X, -1, 1).item() * (1 - width)
    middle_y = now.uniform(Draw.CROP_Y, -1, 1).item() * (1 - height)
    angle = 0.0
    if augment.rotate:
        angle = (now.integers(Draw.ROTATION, 4097).item() - 2048) / 2048 * augment.rotate
    sign = -1 if augment.flip and now.uniform(Draw.FLIP).item() < 0.5 else 1
    out = np.zeros((image.shape[0], size, size))
    for row in range(size):
        for column in range(size):
            u = sign * ((column + 0.5) / size * 2 - 1) * width
            v = ((row + 0.5) / size * 2 - 1) * height
            turn = np.exp(1j * math.radians(angle)) * (u + 1j * v)
            x = (middle_x + turn.real + 1) / 2 * side - 0.5
            y = (middle_y + turn.imag + 1) / 2 * side - 0.5
            x, y = mirror(x, side), mirror(y, side)
            x0, y0 = math.floor(x), math.floor(y)
            for dy in (0, 1):
                for dx in (0, 1):
                    weight = (1 - abs(x - x0 - dx)) * (1 - abs(y - y0 - dy))
                    at = image[:, min(max(y0 + dy, 0), side - 1), min(max(x0 + dx, 0), side - 1)]
                    out[:, row, column] += weight * at
    return out


def mirror(x: float, side: int) -> float:
    """Reflect about the outer edges of the first and last pixel."""
    period = 2 * side
    x = (x + 0.5) % period
    return min(max((period - x if x > side else x) - 0.5, 0), side - 1)


@pytest.mark.parametrize(
    "augment",
    [
        Augment(crop_scale=(0.1, 0.6), flip=True),
        Augment(rotate=30.0),
        Augment(crop_scale=(0.3, 1.0), crop_ratio=(0.5, 2.0), flip=True, rotate=90.0),
    ],
)
def test_warp_equals_sampling_point_by_point(augment):
    now = visit(6, seed=3)
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 3, 12, 12))).float()
    views = warp(images, now, augment, 10)
    for i in range(6):
        expected = slow_warp(images[i].numpy(), part(now, [i]), augment, 10)
        np.testing.assert_allclose(views[i].numpy(), expected, atol=1e-4)


def test_a_box_of_the_whole_image_changes_nothing():
    images = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    whole = Augment(crop_scale=(1.0, 1.0), crop_ratio=(0.5, 2.0))
    torch.testing.assert_close(warp(images, visit(4), whole, 9), images, atol=1e-5, rtol=0)


def test_a_view_that_is_turned_has_the_scale_of_evaluation():
    """A bright square of 14 in a dark one of 16: evaluation cuts the dark rim off."""
    preprocess = Preprocess(img_size=14, resize_size=16, mean=(0.0,) * 3, std=(1.0,) * 3)
    batch = torch.zeros(200, 16, 16, 3, dtype=torch.uint8)
    batch[:, 1:15, 1:15] = 255
    seen = random_view(batch, visit(200), Augment(rotate=1e-6), preprocess)
    assert bool((network_input(batch, preprocess) == 1).all())
    # A cut of 14 of 16 pixels, wherever it is, shows at most the rim of one side in each direction.
    dark = (seen < 0.5).float().mean(dim=(1, 2, 3))
    assert dark.max() <= 1 - (13 / 14) ** 2 + 0.01
    assert dark.min() < 0.01


def test_shrinking_averages_what_lies_between():
    # One sample an output pixel would meet nothing but the white stripes.
    stripes = (torch.arange(96) % 3 == 1).float().expand(8, 3, 96, 96)
    small = warp(stripes.clone(), visit(8), Augment(crop_scale=(1.0, 1.0)), 32)
    torch.testing.assert_close(small, torch.full_like(small, 1 / 3), atol=1e-4, rtol=0)


def test_boxes_have_the_areas_and_ratios_asked_for():
    # Two ramps tell where the corners of each box are.
    side = 200
    ramp = (torch.arange(side) + 0.5) / side
    images = torch.stack((ramp.expand(side, side), ramp[:, None].expand(side, side)))
    boxes = warp(images.expand(300, 2, side, side), visit(300), Augment(crop_scale=(0.25, 0.5)), 50)
    width = (boxes[:, 0, 0, -1] - boxes[:, 0, 0, 0]) * 50 / 49
    height = (boxes[:, 1, -1, 0] - boxes[:, 1, 0, 0]) * 50 / 49
    area, ratio = width * height, width / height
    assert area.min() == pytest.approx(0.25, abs=0.01)
    assert area.max() == pytest.approx(0.5, abs=0.01)
    assert ratio.min() == pytest.approx(0.75, abs=0.02)
    assert ratio.max() == pytest.approx(4 / 3, abs=0.03)
    assert boxes.min() >= 0
    assert boxes.max() <= 1


ONE_EACH = [
    Augment(pad_crop=2),
    Augment(flip=True),
    Augment(flip=True, alternating_flip=True),
    Augment(crop_scale=(0.3, 0.6)),
    Augment(crop_scale=(0.3, 0.6), crop_ratio=(2.0, 3.0)),
    Augment(rotate=20.0),
    Augment(color_jitter=0.4),
    Augment(pca_color=0.5),
    Augment(random_erasing=1.0),
    Augment(mixup=1.0),
    Augment(cutmix=1.0),
]


def test_every_setting_changes_views_and_all_settings_are_tried():
    def values(augment: Augment) -> dict[str, object]:
        return {f.name: getattr(augment, f.name) for f in dataclasses.fields(augment)}

    def seen(augment: Augment) -> torch.Tensor:
        preprocess, rng = Preprocess(img_size=16, resize_size=16), visit(24, epoch=1)
        views = random_view(pixels(24, 16), rng, augment, preprocess)
        return mix(views, views.flip(0), rng, augment)[0] if mixes(augment) else views

    found: dict[frozenset[str], torch.Tensor] = {frozenset(): seen(Augment())}
    for augment in ONE_EACH:
        on = frozenset(n for n, value in values(augment).items() if value != values(Augment())[n])
        views = seen(augment)
        before = max((other for other in found if other < on), key=len)
        assert not torch.equal(views, found[before]), on - before
        found[on] = views
    assert frozenset.union(*found) == values(Augment()).keys()


def test_erasing_sets_one_rectangle_to_zero():
    preprocess = Preprocess(img_size=32, resize_size=32)
    white = torch.full((400, 32, 32, 3), 255, dtype=torch.uint8)
    views = random_view(white, visit(400), Augment(random_erasing=0.5), preprocess)
    holes = (views == 0).all(dim=1)
    assert torch.equal(holes, (views == 0).any(dim=1))
    areas = holes.sum(dim=(1, 2))
    rows, columns = holes.any(dim=2).sum(dim=1), holes.any(dim=1).sum(dim=1)
    assert torch.equal(areas, rows * columns)
    hit = areas[areas > 0] / 1024
    assert abs(len(hit) / 400 - 0.5) < 0.08
    assert hit.min() > 0.01
    assert 0.28 < hit.max() < 0.36


@pytest.mark.parametrize(
    "fields",
    [
        {"pad_crop": -1},
        {"random_erasing": 1.5},
        {"crop_scale": (0.0, 1.0)},
        {"crop_scale": (0.9, 0.5)},
        {"crop_ratio": (0.0, 1.0)},
        {"mixup": -0.1},
    ],
)
def test_impossible_views_are_refused(fields):
    with pytest.raises(UsageError, match=next(iter(fields))):
        Augment(**fields)
