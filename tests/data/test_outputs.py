"""Runs, models, studies and caches of reslab that lie among the images are no data."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest
from pictures import picture, write_pictures

from reslab.data.image_cache import open_image_cache
from reslab.data.open import collect_dataset, open_dataset
from reslab.data.preprocess import Preprocess
from reslab.data.sources.tree import output_in

RUN = ("config.json", "split.json", "check.json", "results.csv", "report.html", "run.lock")


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("path,label\n" if name.endswith(".csv") else "{}")
    return folder


def write_run(folder: Path) -> Path:
    write(folder, *RUN, "model/model.json", "model/model.safetensors", "checkpoints/step-1/a.json")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", {"cats": 4, "dogs": 4})
    return tmp_path / "photos"


def images_of(folder: Path) -> bytes:
    """Return the digests of what a folder is read as, which has two classes of four."""
    dataset = open_dataset(folder)
    assert dataset.classes == ("cats", "dogs")
    assert len(dataset.labels) == 8
    return dataset.images.digests().tobytes()


def test_each_kind_is_known_wherever_it_lies(photos: Path) -> None:
    before = images_of(photos)
    write_run(photos / "runs" / "photos-1")
    (photos / "runs" / "photos-2").mkdir()  # as one that begins at this moment
    write_run(photos / "cats" / "run")
    picture(70).save(photos / "cats" / "run" / "figure.png")
    write(photos / "trained", "model.json", "model.safetensors", "manifest.json")
    write(photos / "study", "study.json", "study.lock", "results.json", "arm/seed0.json")
    write_run(photos / "study" / "arm" / "seed0")
    write(photos / "dogs" / "look", "look.html")
    picture(71).save(photos / "dogs" / "look" / "maps.png")
    (photos / "latest").symlink_to(photos / "runs" / "photos-1")
    open_image_cache(
        open_dataset("digits"), Preprocess(img_size=9, resize_size=9), cache=photos / "c"
    )
    assert images_of(photos) == before
    collected = collect_dataset(photos)
    said = {Path(f.paths[0]).name: f.message for f in collected.findings if f.kind == "own-output"}
    assert {name: message.split(" is ")[1] for name, message in said.items()} == {
        "runs": "a folder of runs of reslab and",
        "run": "a run of reslab and",
        "trained": "a model of reslab and",
        "study": "a study of reslab and",
        "look": "a look of reslab and",
        "latest": "a run of reslab and",
        "c": "a cache of reslab and",
    }
    assert all(finding.severity == "note" for finding in collected.findings)


def test_split_folders_and_a_run_beside_them(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        write_pictures(tmp_path / split, {"cats": 3, "dogs": 3}, first=10 * number)
    write_run(tmp_path / "runs" / "a")
    write_run(tmp_path / "train" / "runs" / "b")
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("cats", "dogs")
    assert {name: len(numbers) for name, numbers in dataset.splits.items()} == {
        "train": 6,
        "test": 6,
    }


def test_a_table_is_found_beside_a_run(tmp_path: Path) -> None:
    write_pictures(tmp_path / "elsewhere", {".": 4})
    lines = [f"{tmp_path}/elsewhere/00{n}.png,{'ab'[n % 2]}\n" for n in range(4)]
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "labels.csv").write_text("path,label\n" + "".join(lines))
    assert open_dataset(folder).classes == ("a", "b")
    write_run(folder / "runs" / "table-1")
    assert open_dataset(folder).classes == ("a", "b")


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_packed_with_its_runs_it_is_the_same_data_set(
    photos: Path, tmp_path: Path, kind: str
) -> None:
    before = images_of(photos)
    write_run(photos / "runs" / "photos-1")
    picture(70).save(photos / "runs" / "photos-1" / "figure.png")
    packed = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path, "photos")
    dataset = open_dataset(packed, cache=tmp_path / "cache")
    assert dataset.classes == ("cats", "dogs")
    assert dataset.images.digests().tobytes() == before


def test_packed_as_tar_does_by_itself(photos: Path, tmp_path: Path) -> None:
    """``tar cf x.tar .`` begins every name with ``./``."""
    before = images_of(photos)
    write_run(photos / "runs" / "photos-1")
    with tarfile.open(tmp_path / "x.tar", "w") as packed:
        packed.add(photos, arcname=".")
    dataset = open_dataset(tmp_path / "x.tar", cache=tmp_path / "cache")
    assert dataset.images.digests().tobytes() == before


def test_classes_that_only_look_like_ours_stay_classes(photos: Path) -> None:
    write_pictures(photos, {"runs": 3, "config/a": 2, "model/b": 2})
    write(photos / "runs", "config.json", "model.json", "study.json", "results.csv")
    write(photos / "cats", "split.json", "manifest.json")
    assert output_in(str(photos / "empty")) == ""
    dataset = open_dataset(photos)
    assert dataset.classes == ("cats", "config", "dogs", "model", "runs")


def test_a_data_folder_inside_a_run_is_read(tmp_path: Path, photos: Path) -> None:
    before = images_of(photos)
    run = write_run(tmp_path / "run")
    photos.rename(run / "photos")
    assert images_of(run / "photos") == before
