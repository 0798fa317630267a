import contextlib
import threading

import numpy as np
import pytest
import torch

from reslab.data.augment import Augment
from reslab.data.dataset import ArrayImages
from reslab.data.image_cache import ImageCache, ImageStream, resident
from reslab.data.loader import MOST_THREADS, TrainLoader, eval_batches
from reslab.data.preprocess import Preprocess, network_input
from reslab.data.sampler import Sampler
from reslab.errors import DataError

COUNT = 50
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 12, 12, 3), dtype=np.uint8)
LABELS = np.arange(COUNT) % 5
TRAIN = np.arange(0, COUNT, 2)
PREPROCESS = Preprocess(img_size=12, resize_size=12)
ALL = Augment(pad_crop=2, flip=True, color_jitter=0.2, random_erasing=0.3, mixup=0.5, cutmix=1.0)


def make(augment: Augment = ALL, fitted=None, **fields) -> TrainLoader:
    return TrainLoader(
        fitted or ImageCache(torch.from_numpy(PIXELS)),
        Sampler(TRAIN, 3),
        LABELS,
        augment,
        PREPROCESS,
        seed=3,
        **{"batch_size": 16, **fields},
    )


def reader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("reslab-loader")]


def test_a_batch_holds_what_it_says():
    batch = make(Augment()).batch(0)
    expected = torch.from_numpy(PIXELS)[batch.samples]
    assert torch.equal(batch.images, network_input(expected, PREPROCESS))
    assert batch.labels.tolist() == LABELS[batch.samples].tolist()
    assert set(batch.samples.tolist()) <= set(TRAIN.tolist())
    assert batch.partner_labels is None
    assert batch.weights is None
    assert len(batch) == 16


def test_without_mixing_there_are_views_alone():
    batch = make(Augment(flip=True)).batch(0)
    assert batch.weights is None
    assert batch.images.shape == (16, 3, 12, 12)


def test_mixing_names_the_partners_and_their_share():
    batch = make(Augment(mixup=1.0)).batch(0)
    assert batch.partner_labels is not None
    assert batch.weights is not None
    assert batch.partner_labels.shape == batch.weights.shape == (16,)
    # The partner's label is that of the picture that was mixed in.
    marked = np.repeat(np.repeat(LABELS.astype(np.uint8)[:, None, None, None], 12, 1), 12, 2)
    fitted = ImageCache(torch.from_numpy(np.repeat(marked * 40, 3, 3)))
    preprocess = Preprocess(img_size=12, resize_size=12, mean=(0.0,) * 3, std=(1.0,) * 3)
    loader = TrainLoader(
        fitted, Sampler(TRAIN, 3), LABELS, Augment(mixup=1.0), preprocess, seed=3, batch_size=16
    )
    batch = loader.batch(0)
    assert batch.partner_labels is not None
    assert batch.weights is not None
    mixed = batch.labels * batch.weights + batch.partner_labels * (1 - batch.weights)
    torch.testing.assert_close(batch.images[:, 0, 0, 0] * 255 / 40, mixed)


@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_share_the_same_global_batch_bit_for_bit(world_size):
    for step in (0, 1, 5):
        whole = make().batch(step)
        parts = [make(rank=r, world_size=world_size).batch(step) for r in range(world_size)]
        assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
        assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)
        assert torch.equal(torch.cat([part.weights for part in parts]), whole.weights)


def test_a_set_smaller_than_a_batch_gives_whole_batches():
    batch = make(Augment(flip=True), batch_size=64).batch(2)
    assert len(batch) == 64
    assert batch.epochs.min() == 5
    assert batch.epochs.max() == 7


@pytest.mark.parametrize("threads", [False, True])
def test_prefetched_batches_equal_those_asked_for(threads):
    fitted = ImageStream(ArrayImages(PIXELS), PREPROCESS) if threads else None
    loader = make(fitted=fitted) if threads else make()
    with contextlib.closing(loader.prefetch(4, 9)) as batches:
        steps = [next(batches)]
        assert (len(reader_threads()) > 0) == threads  # a store needs nobody to wait for it
        steps += batches
    assert len(steps) == 5
    for step, batch in enumerate(steps, start=4):
        assert torch.equal(batch.images, make().batch(step).images)
    assert not reader_threads()


def test_closing_ends_the_threads():
    stream = ImageStream(ArrayImages(PIXELS), PREPROCESS)
    with contextlib.closing(make(fitted=stream).prefetch(0, 1 << 60)) as batches:
        next(batches)
        assert 1 <= len(reader_threads()) <= MOST_THREADS
    assert not reader_threads()


def test_its_threads_compute_on_one_core_and_the_loop_on_its_own_number():
    seen: list[int] = []

    class Watched(ImageStream):
        def gather(self, samples: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            return super().gather(samples)

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for _ in make(fitted=Watched(ArrayImages(PIXELS), PREPROCESS)).prefetch(0, 9):
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


class Broken(ImageStream):
    def gather(self, samples: torch.Tensor) -> torch.Tensor:
        raise DataError("cat.jpg is damaged")


def test_what_goes_wrong_in_a_thread_reaches_the_loop():
    loader = make(fitted=Broken(ArrayImages(PIXELS), PREPROCESS))
    with pytest.raises(DataError, match=r"cat\.jpg"):
        list(loader.prefetch(0, 3))
    assert not reader_threads()


def test_a_stream_gives_the_same_batches_as_a_store():
    stream = ImageStream(ArrayImages(PIXELS), PREPROCESS, workers=3)
    assert torch.equal(make(fitted=stream).batch(3).images, make().batch(3).images)


def test_evaluation_keeps_order_and_takes_each_image_once():
    samples = np.array([9, 3, 3, 40, 7])
    parts = list(eval_batches(ImageCache(torch.from_numpy(PIXELS)), samples, PREPROCESS, 2))
    assert [len(images) for images, _ in parts] == [2, 2, 1]
    assert torch.cat([numbers for _, numbers in parts]).tolist() == samples.tolist()
    expected = network_input(torch.from_numpy(PIXELS[samples]), PREPROCESS)
    assert torch.equal(torch.cat([images for images, _ in parts]), expected)


def test_nothing_moves_when_the_device_is_the_processor():
    store = ImageCache(torch.from_numpy(PIXELS))
    assert resident(store, torch.device("cpu")) is store


@pytest.mark.gpu
def test_a_gpu_sees_the_same_views():
    device = torch.device("cuda")
    fitted = resident(ImageCache(torch.from_numpy(PIXELS)), device)
    assert fitted.device.type == "cuda"
    augment = Augment(
        pad_crop=2, crop_scale=(0.3, 1.0), flip=True, rotate=10, mixup=0.5, cutmix=1.0
    )
    for views in (ALL, augment):
        there, here = make(views, fitted, device=device).batch(2), make(views).batch(2)
        assert torch.equal(there.samples.cpu(), here.samples)
        assert torch.equal(there.partner_labels.cpu(), here.partner_labels)
        torch.testing.assert_close(there.weights.cpu(), here.weights)
        torch.testing.assert_close(there.images.cpu(), here.images, atol=2e-4, rtol=1e-4)
