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

from old_runs import first_fingerprint
from reslab import api, artifact
from reslab.data.dataset import Dataset
from reslab.data.open import open_dataset
from reslab.data.record import FILE
from reslab.data.shapes import ShapeSettings, write_folder
from reslab.data.split import image_keys
from reslab.errors import DataError
from reslab.report.images import pictures
from reslab.runs.run import Run
from reslab.training.config import Request
from reslab.training.inputs import decide
from reslab.training.observe import Silent
from reslab.training.source import seen_before

FAST = (*FAST_BUT_FOR_THE_BATCH, "--batch-size", "8")
TRAIN = ("--steps", "3")
LONGER = ("--steps", "5")


@pytest.fixture(scope="module")
def made(launcher: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `my photos` and the finished `run` on it; only to be copied."""
    folder = tmp_path_factory.mktemp("made")
    write_folder(folder / "my photos", ShapeSettings(num=30, size=12, classes=3))
    words = ["train", "my photos", *FAST, *TRAIN, "--out", "run"]
    assert launcher.run(words, folder / "err", cwd=folder) == 0, (folder / "err").read_text()
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder, of which the original data are out of reach."""
    copy = tmp_path / "place"
    shutil.copytree(made, copy, copy_function=shutil.copyfile)  # with other times
    (copy / "my photos").rename(copy / "photos")
    edit(copy / "run", str(copy / "photos"), str(copy / "photos"))
    return copy


def edit(run: Path, data: str, location: str) -> None:
    config = json.loads((run / "config.json").read_text())
    config["request"]["data"] = config["data"] = data
    config["location"] = location
    (run / "config.json").write_text(json.dumps(config))


def reopened(run: Path, data: str = "") -> Dataset:
    return Run.open(run).dataset(data)


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


def test_a_run_remembers_where_its_data_went(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data may have been packed as well; Python names the place as the command does."""
    shutil.make_archive(str(place / "moved"), "zip", place / "photos")
    shutil.rmtree(place / "photos")
    run = place / "run"
    with pytest.raises(DataError, match=r"no longer there .* --data PLACE"):
        reopened(run)
    monkeypatch.chdir(place)
    assert api.resume(run, data="moved.zip").data == "moved.zip"
    config = json.loads((run / "config.json").read_text())
    assert (config["data"], config["location"]) == ("moved.zip", str(place / "moved.zip"))
    monkeypatch.chdir("/")
    assert len(reopened(run).labels) == 30
    found = pictures(Run.open(run), None)
    assert not found.missing
    assert len(found.doubtful) + len(found.mistakes)
    model = json.loads((run / "model" / "model.json").read_text())
    assert model["provenance"]["data"] == "moved.zip"


def test_the_whole_folder_may_be_moved_with_its_run(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data are where they were named, seen from the folder that the command runs in."""
    edit(place / "run", "photos", str(place / "photos"))
    moved = place.rename(place.with_name("elsewhere"))
    monkeypatch.chdir(moved)
    assert len(reopened(moved / "run").labels) == 30


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
    assert (place / "run" / "config.json").read_bytes() == before
    with pytest.raises(DataError, match=r"have changed .*30 images are missing"):
        reopened(place / "run", "shapes:num=30,size=12,classes=3,seed=8")


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


def test_inside_its_own_data(
    launcher: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cd photos; reslab train . : what is proposed then works, and so does a second training."""
    photos = tmp_path / "photos"
    write_folder(photos, ShapeSettings(num=30, size=12, classes=3))
    images = open_dataset(photos).fingerprint()

    def run(*words: str) -> tuple[str, str]:
        out, err = tmp_path / "out", tmp_path / "err"
        err.unlink(missing_ok=True)
        assert launcher.run(list(words), err, {}, out, photos) == 0, err.read_text()
        return out.read_text(), err.read_text()

    _, err = run("train", ".", *FAST, *TRAIN)
    assert "of reslab" not in err
    proposed = next(line for line in err.splitlines() if "reslab eval" in line).split()
    assert proposed == ["reslab", "eval", "runs/photos-1", "."]
    _, err = run("train", ".", *FAST, "--steps", "1", "--out", "circle/run")
    assert "folder ./runs is a folder of runs of reslab and is not read as data" in err
    out, err = run(*proposed[1:], "--json")
    assert (json.loads(out)["num_images"], json.loads(out)["split"]) == (6, "test")
    assert "folder ./circle/run is a run of reslab" in err
    monkeypatch.chdir(photos)
    assert len(reopened(photos / "runs" / "photos-1").labels) == 30
    assert open_dataset(photos).fingerprint() == images


def test_data_with_a_space_in_their_name_are_proposed_in_quotes(made: Path) -> None:
    assert "reslab eval run 'my photos'" in (made / "err").read_text()


def test_the_record_of_a_run_is_that_of_its_images(made: Path) -> None:
    from safetensors.numpy import load_file

    found = load_file(made / "run" / FILE)
    dataset = open_dataset(made / "my photos")
    assert np.array_equal(found["digests"], dataset.images.digests())
    assert (made / "run" / FILE).read_bytes() == (made / "run" / "model" / FILE).read_bytes()
    split = json.loads((made / "run" / "split.json").read_text())
    for number, name in enumerate(("train", "val", "test")):
        listed = sum(map(len, split.get(name, {}).values()))
        assert (found["splits"] == number).sum() == listed


def test_test_images_that_the_source_was_trained_on_are_counted(made: Path, tmp_path: Path) -> None:
    """Another seed splits grown data otherwise: known images come into the test."""
    grown = tmp_path / "grown"
    shutil.copytree(made / "my photos", grown)
    write_folder(tmp_path / "more", ShapeSettings(num=30, size=12, classes=3, seed=1))
    for path in sorted((tmp_path / "more").rglob("*.jpg")):
        path.rename(grown / path.parent.name / f"more-{path.name}")
    told: list[str] = []
    observer = Silent()
    observer.note = told.append  # type: ignore[method-assign]
    request = Request(data=str(grown), start=made / "run", seed=1)
    dataset, _, _ = decide(request, observer)
    before = json.loads((made / "run" / "split.json").read_text())["train"]
    keys = image_keys(dataset)
    test = {keys[number] for number in dataset.splits["test"].tolist()}
    seen = {name for names in before.values() for name in names} & test
    assert seen
    assert f"was trained on {len(seen)} of the 12 test images" in " ".join(told)
    assert np.array_equal(seen_before(request), artifact.load(made / "run").images.seen)
