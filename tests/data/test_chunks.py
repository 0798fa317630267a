import os
import signal
import subprocess

import numpy as np
import pytest
from PIL import Image

from reslab.data import preprocess
from reslab.data.dataset import FileImages
from reslab.data.preprocess import Preprocess, fit_all, fit_range
from reslab.errors import DataError, MachineError

PREPROCESS = Preprocess(img_size=8, resize_size=8)
COUNT = 50


@pytest.fixture
def images(tmp_path, monkeypatch) -> FileImages:
    """Few images, many chunks, and processes although they would not pay."""
    monkeypatch.setattr(preprocess, "_MIN_FILES_FOR_PROCESSES", 0)
    monkeypatch.setattr(preprocess, "_CHUNK_IMAGES", 4)
    paths = [f"bild ü {i}.png" for i in range(COUNT - 1)]
    paths.append(os.fsdecode(b"not utf-8 \xff.png"))
    for i, path in enumerate(paths):
        Image.new("RGB", (9, 8), (i, 2 * i, 3 * i)).save(tmp_path / path, format="PNG")
    return FileImages(tmp_path, tuple(paths))


def test_processes_give_what_threads_give(images):
    found = np.concatenate(list(fit_all(images, PREPROCESS, workers=2)))
    assert np.array_equal(found, fit_range(images, 0, COUNT, PREPROCESS))
    alone = np.concatenate(list(fit_all(images, PREPROCESS, workers=1)))
    assert np.array_equal(found, alone)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_damaged_image_is_named(images, workers):
    for index in (13, 14, 33):
        (images.root / images.paths[index]).write_bytes(b"damaged")
    with pytest.raises(DataError, match="bild ü 13"):
        list(fit_all(images, PREPROCESS, workers))


def test_a_process_that_dies_is_an_error_of_the_machine(images, monkeypatch):
    started: list[int] = []
    original = subprocess.Popen.__init__

    def remember(self, *args, **fields):
        original(self, *args, **fields)
        started.append(self.pid)

    monkeypatch.setattr(subprocess.Popen, "__init__", remember)
    parts = fit_all(images, PREPROCESS, workers=2)
    next(parts)
    for process in started:
        os.kill(process, signal.SIGKILL)
    with pytest.raises(MachineError, match="ended by SIGKILL"):
        list(parts)


def test_nothing_goes_on_after_the_reader_stops(images, monkeypatch):
    started: list[subprocess.Popen[bytes]] = []
    original = subprocess.Popen.__init__

    def remember(self, *args, **fields):
        original(self, *args, **fields)
        started.append(self)

    monkeypatch.setattr(subprocess.Popen, "__init__", remember)
    parts = fit_all(images, PREPROCESS, workers=2)
    next(parts)
    parts.close()
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
