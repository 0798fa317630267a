"""Data that are moved, copied, renamed and packed; runs that lie inside their own data."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import FAST as FAST_BUT_FOR_THE_BATCH
from running import Finished

from reslab import api
from reslab.data.dataset import Dataset, FileImages
from reslab.data.open import open_dataset
from reslab.data.record import FILE
from reslab.data.shapes import ShapeSettings, write_folder
from reslab.errors import DataError
from reslab.report.images import pictures
from reslab.report.run import read_run

FAST = (*FAST_BUT_FOR_THE_BATCH, "--batch-size", "8")
TRAIN = ("--steps", "3")
LONGER = ("--steps", "5")


@pytest.fixture(scope="module")
def made(launcher: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `photos` and the finished `run` on it; only to be copied."""
    folder = tmp_path_factory.mktemp("made")
    write_folder(folder / "photos", ShapeSettings(num=30, size=12, classes=3))
    words = ["train", "photos", *FAST, *TRAIN, "--out", "run"]
    assert launcher.run(words, folder / "err", cwd=folder) == 0, (folder / "err").read_text()
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder, of which the original data are out of reach."""
    copy = tmp_path / "place"
    shutil.copytree(made, copy, copy_function=shutil.copyfile)  # with other times
    edit(copy / "run", location=str(copy / "photos"))
    return copy


def edit(run: Path, **fields: Any) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | fields))


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def resumed(launcher: Any, run: Path, *flags: str, cwd: Path) -> Finished:
    number = len(list(cwd.parent.glob("*.log")))
    err, out = cwd.parent / f"{number}.log", cwd.parent / f"{number}.out"
    code = launcher.run(["train", "--resume", str(run), *flags], err, {}, out, cwd)
    return Finished(run, code, err.read_text(), out.read_text())


def test_moved_and_renamed_data_give_the_same_run(launcher: Any, place: Path) -> None:
    """The order of the images goes by their numbers in the run, not by their names of today."""
    shutil.copytree(place / "run", place / "other")
    resumed(launcher, place / "run", *LONGER, cwd=place).succeeded()
    moved = place / "moved"
    (place / "photos").rename(moved)
    for number, path in enumerate(sorted(moved.rglob("*.jpg"), reverse=True)):
        path.rename(path.with_name(f"IMG_{number:04d}.jpeg"))
    resumed(launcher, place / "other", *LONGER, cwd=place).refused(
        3, "no longer there", str(place / "photos"), "--data PLACE"
    )
    resumed(launcher, place / "other", "moved", *LONGER, cwd=place).succeeded()
    for name in ("results.csv", "evaluation/test.safetensors"):
        assert (place / "run" / name).read_bytes() == (place / "other" / name).read_bytes()
    assert weights(place / "run") == weights(place / "other")


@pytest.mark.parametrize("flags", [("--data", "moved"), ("moved",), ("--data", "moved.zip")])
def test_a_run_remembers_where_its_data_went(
    launcher: Any, place: Path, flags: tuple[str, ...]
) -> None:
    (place / "photos").rename(place / "moved")
    shutil.make_archive(str(place / "moved"), "zip", place / "moved")
    done = resumed(launcher, place / "run", *flags, cwd=place).succeeded()
    assert f"reslab eval {place / 'run'} {flags[-1]}" in done.err
    config = done.read("config.json")
    assert (config["data"], config["location"]) == (flags[-1], str(place / flags[-1]))
    resumed(launcher, place / "run", cwd=Path("/")).succeeded()
    found = pictures(read_run(place / "run"), None)
    assert not found.missing
    assert len(found.doubtful) + len(found.mistakes)
    model = json.loads((place / "run" / "model" / "model.json").read_text())
    assert model["provenance"]["data"] == flags[-1]


def test_the_whole_folder_may_be_moved_with_its_run(launcher: Any, place: Path) -> None:
    """The data are where they were named, seen from the folder that the command runs in."""
    moved = place.rename(place.with_name("elsewhere"))
    resumed(launcher, moved / "run", cwd=moved).succeeded()
    assert json.loads((moved / "run/config.json").read_text())["location"] == str(moved / "photos")


def test_python_names_the_place_too(place: Path) -> None:
    (place / "photos").rename(place / "moved")
    with pytest.raises(DataError, match="--data PLACE"):
        api.resume(place / "run")
    assert api.resume(place / "run", data=place / "moved").data == str(place / "moved")


def test_other_data_are_refused_with_what_differs(launcher: Any, place: Path) -> None:
    files = sorted((place / "photos").rglob("*.jpg"))
    names = [str(path.relative_to(place / "photos")) for path in files]
    files[0].write_bytes(files[1].read_bytes())
    files[2].unlink()
    shutil.copy(files[3], files[3].with_name("new.jpg"))
    before = (place / "run" / "config.json").read_bytes()
    resumed(launcher, place / "run", cwd=place).refused(
        3,
        "the images of",
        f"have changed since the run began: 1 image has changed ({names[0]}), "
        f"1 image is missing ({names[2]}), 1 image is new",
        "--data",
    )
    resumed(launcher, place / "run", "digits", cwd=place).refused(3, "have changed", "30 images")
    assert (place / "run" / "config.json").read_bytes() == before


def first_fingerprint(dataset: Dataset) -> str:
    import hashlib

    assert isinstance(dataset.images, FileImages)
    files = hashlib.sha256()
    for path in dataset.images.paths:
        status = (dataset.images.root / path).stat()
        files.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    whole = hashlib.sha256(files.hexdigest().encode())
    whole.update("\0".join(dataset.classes).encode())
    whole.update(dataset.labels.tobytes())
    return whole.hexdigest()


def test_a_run_of_an_older_reslab_is_resumed_where_its_files_kept_their_times(
    launcher: Any, place: Path
) -> None:
    run = place / "run"
    config = json.loads((run / "config.json").read_text())
    config["dataset"]["fingerprint"] = first_fingerprint(open_dataset(place / "photos"))
    del config["location"]
    (run / "config.json").write_text(json.dumps(config))
    (run / FILE).unlink()
    done = resumed(launcher, run, *LONGER, cwd=place).succeeded()
    assert (run / "model" / FILE).is_file()  # from now on its images are known by their content
    assert done.read("config.json")["location"] == str(place / "photos")
    os.utime(next((place / "photos").rglob("*.jpg")), (1, 1))
    resumed(launcher, run, cwd=place).refused(3, "older reslab", "cp -a")


def test_inside_its_own_data(launcher: Any, tmp_path: Path) -> None:
    """cd photos; reslab train . : what is proposed then works, and so does a second training."""
    photos = tmp_path / "photos"
    write_folder(photos, ShapeSettings(num=30, size=12, classes=3))
    images = open_dataset(photos).fingerprint()

    def run(*words: str) -> tuple[str, str]:
        out, err = tmp_path / "out", tmp_path / "err"
        err.unlink(missing_ok=True)
        assert launcher.run(list(words), err, {}, out, photos) == 0, err.read_text()
        return out.read_text(), err.read_text()

    _, first = run("train", ".", *FAST, *TRAIN)
    assert "check: " not in first.replace("check: 3 classes with fewer", "")
    proposed = next(line for line in first.splitlines() if "reslab eval" in line).split()
    assert proposed == ["reslab", "eval", "runs/photos-1", "."]
    out, err = run(*proposed[1:], "--json")
    assert json.loads(out)["num_images"] == 6
    assert json.loads(out)["split"] == "test"
    assert "folder ./runs is a folder of runs of reslab and is not read as data" in err
    run("train", ".", *FAST, "--steps", "1", "--out", "circle/run")
    run("train", "--resume", "runs/photos-1", *LONGER)
    out, _ = run("check", ".", "--json", "--quick")
    assert json.loads(out)["ok"]
    run("train", ".", *FAST, "--steps", "1")
    assert open_dataset(photos).fingerprint() == images
    assert sorted(path.name for path in (photos / "runs").iterdir()) == ["photos-1", "photos-2"]


def test_data_with_a_space_in_their_name_are_proposed_in_quotes(
    launcher: Any, tmp_path: Path
) -> None:
    write_folder(tmp_path / "my photos", ShapeSettings(num=30, size=12, classes=3))
    words = ["train", "my photos", *FAST, "--steps", "1", "--out", "my run"]
    err = tmp_path / "err"
    assert launcher.run(words, err, cwd=tmp_path) == 0
    assert "reslab eval 'my run' 'my photos'" in err.read_text()


def test_the_record_of_a_run_is_that_of_its_images(made: Path) -> None:
    from safetensors.numpy import load_file

    found = load_file(made / "run" / FILE)
    dataset = open_dataset(made / "photos")
    assert np.array_equal(found["digests"], dataset.images.digests())
    assert (made / "run" / FILE).read_bytes() == (made / "run" / "model" / FILE).read_bytes()
    split = json.loads((made / "run" / "split.json").read_text())
    for number, name in enumerate(("train", "val", "test")):
        listed = sum(map(len, split.get(name, {}).values()))
        assert (found["splits"] == number).sum() == listed


def test_test_images_that_the_source_was_trained_on_are_counted(
    launcher: Any, made: Path, tmp_path: Path
) -> None:
    """Another seed splits grown data otherwise: known images come into the test."""
    shutil.copytree(made / "photos", tmp_path / "grown")
    write_folder(tmp_path / "more", ShapeSettings(num=30, size=12, classes=3, seed=1))
    for path in sorted((tmp_path / "more").rglob("*.jpg")):
        path.rename(tmp_path / "grown" / path.parent.name / f"more-{path.name}")
    words = ["train", "grown", *FAST, "--steps", "1", "--start", str(made / "run")]
    words += ["--seed", "1", "--out", "run"]
    err = tmp_path / "err"
    assert launcher.run(words, err, cwd=tmp_path) == 0, err.read_text()
    before = json.loads((made / "run" / "split.json").read_text())["train"]
    test = json.loads((tmp_path / "run" / "split.json").read_text())["test"]
    seen = {n for names in before.values() for n in names} & {
        n for names in test.values() for n in names
    }
    assert seen
    assert f"was trained on {len(seen)} of the 12 test images" in " ".join(err.read_text().split())
