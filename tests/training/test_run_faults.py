"""What goes wrong is one line with an exit code, and nothing good is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from reslab.data.shapes import ShapeSettings, write_folder
from reslab.training import job
from reslab.training.config import Request
from reslab.training.observe import Silent


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty-four JPEGs of three classes, flat."""
    write_folder(tmp_path / "photos", ShapeSettings(num=24, size=16, classes=3))
    return tmp_path / "photos"


def arrange(photos: Path, root: Path, layout: dict[str, dict[str, int]]) -> None:
    """Copy so many images of the n-th class to root/split/class."""
    classes = sorted(p for p in photos.iterdir() if p.is_dir())
    taken = dict.fromkeys(range(len(classes)), 0)
    for split, counts in layout.items():
        for name, count in counts.items():
            number = ord(name) - ord("a")
            (root / split / name).mkdir(parents=True)
            files = sorted(classes[number].iterdir())
            for file in files[taken[number] : taken[number] + count]:
                shutil.copy(file, root / split / name / file.name)
            taken[number] += count


def test_nonsense_stops_the_run_before_it_overwrites_anything(train):
    flags = ("--lr", "1e30", "--epochs", "2", "--save-every", "0.0001s", "--clip-grad-norm", "0")
    run = train("digits", *flags)
    run.refused(6, "no longer finite", "smaller --lr")
    status = run.read("status.json")
    assert (status["state"], status["exit_code"]) == ("diverged", 6)
    for file in (run.path / "checkpoints").rglob("network.safetensors"):
        assert all(bool(torch.isfinite(v).all()) for v in load_file(file).values())
    assert not (run.path / "model").exists()


@pytest.mark.parametrize("name", ["cuda:7", "cuda"])
def test_a_device_that_is_not_there(train, name):
    if torch.cuda.is_available() and torch.cuda.device_count() > int(name.partition(":")[2] or 0):
        pytest.skip(f"needs a machine without {name}")
    run = train("digits", "--device", name)
    run.refused(5, f"'{name}'", "--device cpu")
    assert not run.path.exists()


def test_a_full_output_folder_is_refused_before_data_are_read(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    train("no-such-data").refused(2, "is not empty", "--resume")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_an_output_folder_that_cannot_be_made_is_refused_before_data_are_read(train, tmp_path):
    (tmp_path / "file").write_text("mine")
    train("no-such-data", "--out", str(tmp_path / "file" / "run")).refused(5, "file", "--out")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs mount: apt-get install mount")
    if mounted.returncode:
        pytest.skip(f"needs root, to mount a disk of one megabyte: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk(train, tiny_disk):
    run = train("digits", "--epochs", "1", "--out", str(tiny_disk / "run"))
    run.refused(5, str(tiny_disk))
    assert "space" in run.err.lower() or "full" in run.err.lower()
    assert not list(tiny_disk.rglob("*.partial"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--model", "resent20"), ("unknown network 'resent20'", "did you mean 'resnet20'")),
        (("--recipe", "he2015-cifr"), ("unknown recipe", "did you mean 'he2015-cifar'")),
        (("--epoch", "1"), ("unknown flag '--epoch'", "did you mean '--epochs'")),
        (("--schedule", "cosin"), ("--schedule", "cosine")),
        (("--lr", "fast"), ("--lr", "fast")),
        (("--lr", "0"), ("lr must be more than 0",)),
        (("--time", "soon"), ("'soon' is no duration",)),
        (("--crop-scale", "0.5"), ("not two numbers",)),
        (("--momentum", "0", "--nesterov"), ("needs a momentum above 0",)),
        (("--warmup-until-error-pct", "80"), ("learning rate of its own",)),
        (("--gamma", "-1"), ("gamma must be in (0, 1]",)),
        (("--plateau-patience", "-3"), ("plateau_patience must be 0 or more",)),
        (("--epochs", "inf"), ("epochs must be finite",)),
        (("--patience", "3"), ("patience needs something to watch",)),
        (
            ("--monitor", "val_loss", "--val-fraction", "0"),
            ("need a validation split", "--val-fraction 0.1"),
        ),
        (("--freeze", "9"), ("freeze must be -1 to 4",)),
        (("--device", "gpu"), ("unknown device 'gpu'",)),
        (("--img-size", "2"), ("2",)),
    ],
)
def test_what_cannot_be_asked_for(train, flags, words):
    run = train("digits", *flags)
    run.refused(2, *words)
    assert not (run.path / "model").exists()


@pytest.mark.parametrize(
    "flags", [("--model", "resent20"), ("--epoch", "1"), ("--lr", "0"), ("--freeze", "9")]
)
def test_a_wrong_flag_creates_nothing(train, flags):
    assert not train("digits", *flags).path.exists()


def test_data_that_are_not_there(train):
    train("digit").refused(2, "unknown data set 'digit'", "did you mean 'digits'")
    train("no/such/folder").refused(2, "no/such/folder")


def test_a_single_class(train, photos):
    for folder in sorted(p for p in photos.iterdir() if p.is_dir())[1:]:
        shutil.rmtree(folder)
    run = train(photos)
    run.refused(3, "class")
    assert not run.path.exists()


def test_a_truncated_picture_is_named_or_skipped_and_recorded(train, photos, tmp_path):
    bad = sorted(photos.rglob("*.jpg"))[3]
    bad.write_bytes(bad.read_bytes()[:200])
    refused = train(photos, "--epochs", "1", "--out", str(tmp_path / "first"))
    refused.refused(3, bad.name)
    run = train(photos, "--epochs", "1", "--skip-corrupt").succeeded()
    dataset = run.read("config.json")["dataset"]
    assert [Path(name).name for name in dataset["excluded"]] == [bad.name]
    assert sum(dataset["counts"].values()) == 23


def test_a_val_folder_that_lacks_a_class_shifts_no_label(train, photos, tmp_path):
    data = tmp_path / "data"
    arrange(photos, data, {"train": {"a": 5, "b": 5, "c": 5}, "val": {"a": 2, "c": 2}})
    run = train(data, "--epochs", "1").succeeded()
    assert run.read("config.json")["dataset"]["classes"] == ["a", "b", "c"]
    measured = load_file(run.path / "evaluation" / "val.safetensors")
    assert measured["labels"].tolist() == [0, 0, 2, 2]
    assert measured["logits"].shape == (4, 3)


def test_a_class_that_only_val_has(train, photos, tmp_path):
    data = tmp_path / "data"
    arrange(photos, data, {"train": {"a": 5, "b": 5}, "val": {"a": 2, "c": 2}})
    run = train(data, "--epochs", "1")
    run.refused(3, "'c'")
    assert not run.path.exists()


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_few_classes_and_fewer_images_than_a_batch(train, tmp_path, classes):
    write_folder(tmp_path / "photos", ShapeSettings(num=6 * classes, size=12, classes=classes))
    run = train(tmp_path / "photos", "--epochs", "2", "--json").succeeded()
    assert len(run.read("config.json")["dataset"]["classes"]) == classes
    metrics = run.read("model/model.json")["metrics"]["test"]
    assert 0 <= metrics["accuracy_pct"] <= metrics["top5_pct"] == 100
    assert int(run.rows()[-1]["step"]) >= 1


def test_batch_norm_over_one_value_is_explained(train):
    flags = ("--model", "resnet18", "--img-size", "32", "--batch-size", "2", "--accumulate", "2")
    run = train("digits", *flags, "--epochs", "0.01", "--val-fraction", "0")
    run.refused(2, "more than one value a channel", "--batch-size")
    assert run.read("status.json")["state"] == "failed"


class Failing(Silent):
    def step(self, event):
        raise LookupError("nobody foresaw this")


def test_an_error_that_nobody_foresaw_is_written_down(tmp_path):
    request = Request(data="digits", out=tmp_path / "run", overrides={"epochs": 1, "img_size": 8})
    with pytest.raises(LookupError):
        job.start(request, Failing())
    found = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (found["state"], found["exit_code"]) == ("failed", 1)
    assert found["message"] == "LookupError: nobody foresaw this"
