import contextlib
import dataclasses
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.data import image_cache, preprocess
from reslab.data.dataset import ArrayImages, Dataset, FileImages
from reslab.data.image_cache import (
    ImageCache,
    ImageStream,
    cache_path,
    open_fitted,
    open_image_cache,
    why_stream,
)
from reslab.data.preprocess import Preprocess, fit_file
from reslab.errors import DataError, MachineError

COUNT = 40
PREPROCESS = Preprocess(img_size=16, resize_size=16)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return write_images(tmp_path / "images", COUNT)


def write_images(root: Path, count: int) -> Dataset:
    rng = np.random.default_rng(0)
    root.mkdir()
    paths = tuple(f"image {i}.{('jpg', 'png')[i % 2]}" for i in range(count))
    for path in paths:
        shape = (rng.integers(10, 40), rng.integers(10, 40), 3)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(root / path)
    labels = np.arange(count) % 2
    return Dataset("test", ("a", "b"), FileImages(root, paths), labels, {"train": np.arange(count)})


def root_of(dataset: Dataset) -> Path:
    assert isinstance(dataset.images, FileImages)
    return dataset.images.root


def test_folders_that_look_alike_keep_pixels_of_their_own(tmp_path):
    """The same names, sizes and times, as archives unpack them that were made reproducibly."""
    made = []
    for name, grey in (("a", 10), ("b", 200)):
        root = tmp_path / name
        root.mkdir()
        Image.new("RGB", (16, 16), (grey,) * 3).save(root / "1.bmp")
        os.utime(root / "1.bmp", (1, 1))
        made.append(Dataset("x", ("a",), FileImages(root, ("1.bmp",)), np.zeros(1, np.int64), {}))
    assert made[0].fingerprint() != made[1].fingerprint()
    assert made[0].images.first_fingerprint() == made[1].images.first_fingerprint()
    stores = [open_image_cache(one, PREPROCESS, cache=tmp_path / "cache") for one in made]
    assert [int(store.pixels.max()) for store in stores] == [10, 200]
    assert open_image_cache(made[1], PREPROCESS, cache=tmp_path / "cache").reused


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "store").glob("*"))


def test_a_store_holds_every_image_fitted(dataset, tmp_path):
    store = open_image_cache(dataset, PREPROCESS, cache=tmp_path / "cache", workers=2)
    assert store.pixels.shape == (COUNT, 16, 16, 3)
    for i, path in enumerate(dataset.images.paths):
        expected = fit_file(root_of(dataset) / path, PREPROCESS)
        assert np.array_equal(store.pixels[i].numpy(), expected)
    chosen = torch.tensor([7, 0, 7, 39])
    assert torch.equal(store.gather(chosen), store.pixels[chosen])
    assert store.num_bytes == COUNT * 16 * 16 * 3
    assert (store.resize_size, store.in_chans, len(store)) == (16, 3, COUNT)


def test_a_store_is_reused(dataset, tmp_path):
    first = open_image_cache(dataset, PREPROCESS, cache=tmp_path)
    assert first.path is not None
    os.utime(first.path, (0, 0))
    second = open_image_cache(dataset, PREPROCESS, cache=tmp_path)
    assert (first.reused, second.reused) == (False, True)
    assert second.path == first.path
    assert torch.equal(first.pixels, second.pixels)
    assert first.path.stat().st_mtime > 0, "the time of use is what pruning goes by"
    assert left_in(tmp_path) == [first.path.name]
    assert "new" in first.describe()
    assert "reused" in second.describe()
    assert str(first.path) in second.describe()


def test_writing_to_the_pixels_leaves_the_file_alone(dataset, tmp_path):
    store = open_image_cache(dataset, PREPROCESS, cache=tmp_path)
    store.pixels.fill_(1)
    assert not (open_image_cache(dataset, PREPROCESS, cache=tmp_path).pixels == 1).all()


def test_a_changed_image_makes_another_store(dataset, tmp_path):
    before = open_image_cache(dataset, PREPROCESS, cache=tmp_path)
    white = Image.new("RGB", (20, 20), "white")
    white.save(root_of(dataset) / dataset.images.paths[3])
    after = open_image_cache(dataset, PREPROCESS, cache=tmp_path)
    assert after.path != before.path
    assert not after.reused
    assert (after.pixels[3] >= 254).all()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"resize_size": 18}, False),
        ({"resize": "crop"}, False),
        ({"interpolation": "box"}, False),
        ({"in_chans": 1, "mean": (0.5,), "std": (0.5,)}, False),
        ({"img_size": 12}, True),
        ({"mean": (0.1, 0.2, 0.3)}, True),
    ],
)
def test_only_what_matters_to_the_fit_makes_another_store(dataset, tmp_path, change, same):
    other = dataclasses.replace(PREPROCESS, **change)
    images = dataset.images
    assert (cache_path(images, other, tmp_path) == cache_path(images, PREPROCESS, tmp_path)) == same


def test_a_damaged_image_is_named_and_nothing_stays(dataset, tmp_path):
    path = root_of(dataset) / dataset.images.paths[11]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"image 11\.png"):
        open_image_cache(dataset, PREPROCESS, cache=tmp_path / "cache")
    assert left_in(tmp_path / "cache") == []


def test_an_interrupted_build_leaves_nothing(dataset, tmp_path):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_image_cache(dataset, PREPROCESS, cache=tmp_path, progress=interrupt)
    assert left_in(tmp_path) == []
    assert not open_image_cache(dataset, PREPROCESS, cache=tmp_path).reused


def test_progress_counts_to_the_end(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(preprocess, "_CHUNK_IMAGES", 15)
    seen: list[tuple[int, int]] = []
    open_image_cache(
        dataset, PREPROCESS, cache=tmp_path, progress=lambda *count: seen.append(count)
    )
    assert seen == [(15, COUNT), (30, COUNT), (40, COUNT)]


def test_a_full_disk_is_an_error_of_the_machine_and_nothing_stays(dataset, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(MachineError, match="RESLAB_CACHE"):
            open_image_cache(dataset, PREPROCESS, cache=tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_in(tmp_path / "cache") == []


def test_too_little_room_is_found_before_anything_is_written(tmp_path):
    with pytest.raises(OSError, match=r"MB are needed"):
        image_cache.make_room(tmp_path / "x.npy", 1 << 60)


BUILD = """
import time
from pathlib import Path
import numpy as np
from reslab.data.dataset import Dataset, FileImages
from reslab.data.preprocess import Preprocess
from reslab.data.image_cache import open_image_cache
root = Path({root!r})
paths = tuple({paths!r})
images = FileImages(root, paths)
dataset = Dataset("t", ("a",), images, np.zeros(len(paths), np.int64), {{}})
def progress(done, total):
    print("started", flush=True)
    time.sleep({pause})
store = open_image_cache(
    dataset, Preprocess(img_size=16, resize_size=16), cache=Path({cache!r}), progress=progress
)
print(store.reused, int(store.pixels.sum()), flush=True)
"""


def builder(dataset: Dataset, folder: Path, pause: float) -> subprocess.Popen[str]:
    code = BUILD.format(
        root=str(root_of(dataset)),
        paths=list(dataset.images.paths),
        pause=pause,
        cache=str(folder),
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_killed_build_is_swept_up_by_the_next(dataset, tmp_path):
    folder = tmp_path / "cache"
    process = builder(dataset, folder, pause=60)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        assert any(name.endswith(".tmp") for name in left_in(folder))
        process.send_signal(signal.SIGKILL)
    store = open_image_cache(dataset, PREPROCESS, cache=folder)
    assert not store.reused
    assert store.path is not None
    assert left_in(folder) == [store.path.name]


def test_two_builders_at_once_both_end_well(dataset, tmp_path):
    folder = tmp_path / "cache"
    processes = [builder(dataset, folder, pause=0.5) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        texts = [stack.enter_context(process).communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    ends = sorted(text.split()[-2:] for text in texts)
    assert [reused for reused, _ in ends] == ["False", "True"]
    assert ends[0][1] == ends[1][1]


def test_a_file_cut_short_by_a_crash_of_the_machine_is_rebuilt(dataset, tmp_path):
    store = open_image_cache(dataset, PREPROCESS, cache=tmp_path)
    expected = store.pixels.clone()
    assert store.path is not None
    path = store.path
    del store
    os.truncate(path, 1_000)
    again = open_image_cache(dataset, PREPROCESS, cache=tmp_path)
    assert not again.reused
    assert torch.equal(again.pixels, expected)


def test_images_in_memory_need_no_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)
    pixels.flags.writeable = False
    dataset = Dataset("x", ("a",), ArrayImages(pixels), np.zeros(9, np.int64), {})
    store = open_image_cache(dataset, PREPROCESS, cache=tmp_path / "cache")
    assert store.path is None
    assert np.array_equal(store.pixels.numpy(), pixels)
    assert not (tmp_path / "cache").exists()
    assert "in memory" in store.describe()


def test_images_in_memory_of_another_size_are_fitted(tmp_path):
    dataset = Dataset(
        "x", ("a",), ArrayImages(np.full((3, 8, 8), 9, np.uint8)), np.zeros(3, int), {}
    )
    store = open_image_cache(dataset, PREPROCESS, cache=tmp_path)
    assert store.path is not None
    assert (store.pixels == 9).all()


def test_the_environment_names_the_cache(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "named"))
    store = open_image_cache(dataset, PREPROCESS)
    assert store.path is not None
    assert store.path.parent == tmp_path / "named" / "store"


def test_pruning_removes_the_least_recently_used(dataset, tmp_path):
    sizes = (16, 17, 18)
    stores = [
        open_image_cache(dataset, Preprocess(img_size=8, resize_size=size), cache=tmp_path)
        for size in sizes
    ]
    for age, store in enumerate(stores):
        assert store.path is not None
        os.utime(store.path, (1_000 - age, 1_000 - age))
    newest = stores[0].path
    assert newest is not None
    freed = image_cache.prune(newest.stat().st_size, tmp_path)
    assert left_in(tmp_path) == [newest.name]
    assert freed > 2 * newest.stat().st_size
    assert image_cache.prune(1 << 40, tmp_path) == 0


def test_a_store_over_the_limit_streams_and_says_why(dataset, tmp_path):
    lines: list[str] = []
    fitted = open_fitted(dataset, PREPROCESS, cache=tmp_path, limit_bytes=100, note=lines.append)
    assert isinstance(fitted, ImageStream)
    assert "the limit is" in lines[0]
    assert left_in(tmp_path) == []
    store = open_fitted(dataset, PREPROCESS, cache=tmp_path, note=lines.append)
    assert isinstance(store, ImageCache)
    chosen = torch.tensor([3, 0, 39, 3])
    assert torch.equal(fitted.gather(chosen), store.gather(chosen))
    assert (fitted.num_bytes, fitted.resize_size, fitted.in_chans, len(fitted)) == (
        store.num_bytes,
        store.resize_size,
        store.in_chans,
        len(store),
    )
    assert why_stream(dataset, PREPROCESS, cache=tmp_path, limit_bytes=100) == "", "it is there"


def test_a_cache_that_cannot_be_written_streams_and_says_why(dataset, tmp_path):
    (tmp_path / "file").write_text("in the way")
    fitted = open_fitted(dataset, PREPROCESS, cache=tmp_path / "file")
    assert isinstance(fitted, ImageStream)
    assert "cannot write" in fitted.describe()
    with pytest.raises(MachineError):
        open_image_cache(dataset, PREPROCESS, cache=tmp_path / "file")


def test_a_stream_names_a_damaged_image(dataset):
    (root_of(dataset) / dataset.images.paths[2]).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"image 2\.jpg"):
        ImageStream(dataset.images, PREPROCESS).gather(torch.tensor([1, 2]))
