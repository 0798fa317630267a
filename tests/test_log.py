"""What library users hear without asking a function: records of the logger "reslab"."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import reslab
from reslab.log import notifier
from reslab.training.observe import Silent


def photos(folder: Path) -> Path:
    """Write 12 images of two classes, two of them alike, which is warned of."""
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            pixels = draw.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    (folder / "cat" / "notes.docx").write_text("not an image")
    return folder


def test_lines_are_records_where_logging_listens(tmp_path, caplog):
    told: list[str] = []
    reslab.open_dataset(photos(tmp_path / "photos"), notify=told.append)
    assert told
    assert not caplog.records, "whoever was named is told alone"
    with caplog.at_level(logging.INFO, "reslab"):
        reslab.open_dataset(tmp_path / "photos")
        Silent().note("100% sure")
    assert caplog.messages == [*told, "100% sure"]
    assert {record.name for record in caplog.records} == {"reslab"}


def test_nothing_is_told_or_measured_for_nobody(tmp_path, caplog, capsys):
    assert notifier(None) is None
    reslab.open_dataset(photos(tmp_path / "photos"))
    Silent().note("nobody hears")
    captured = capsys.readouterr()
    assert (captured.out, captured.err, caplog.records) == ("", "", [])


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_the_named_one_is_told_whatever_the_level(level, caplog):
    with caplog.at_level(level, "reslab"):
        assert notifier(print) is print
