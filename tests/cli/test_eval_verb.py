"""`reslab eval`: tables, JSON and CSV of one model, of several, and of two compared."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from old_runs import first_fingerprint
from reslab import artifact
from reslab.cli.main import main
from reslab.data.dataset import ArrayImages, Dataset
from reslab.data.open import open_dataset
from reslab.data.preprocess import Preprocess
from reslab.data.record import ImageRecord
from reslab.data.split import complete_splits, image_keys, splits_to_json
from reslab.evaluate import protocol
from reslab.evaluate.metrics import METRICS
from reslab.networks.network import build
from reslab.networks.resnet import ResNetSpec, StageSpec, StemSpec
from reslab.predict import load

Capture = pytest.CaptureFixture[str]
SPEC = ResNetSpec(
    name="tiny",
    num_classes=3,
    img_size=8,
    stem=StemSpec(width=4, kernel=3, stride=1, max_pool=False),
    stages=(StageSpec(width=4, depth=1, stride=1),),
)
KEYS = {"accuracy_pct", "top5_pct", "ci95_pct", "num_images", "per_class", "ece_pct"}


def save_model(
    run: Path,
    classes: tuple[str, ...] = ("blue", "green", "red"),
    *,
    seed: int = 0,
    provenance: dict[str, object] | None = None,
    images: ImageRecord | None = None,
) -> Path:
    torch.manual_seed(seed)
    preprocess = Preprocess(img_size=8, resize_size=9)
    network = build(SPEC).eval()
    with torch.no_grad():  # spread the answers over the classes
        classifier = network.get_classifier()
        classifier.weight.mul_(8)  # type: ignore[operator, union-attr]
    known = provenance or {}
    model = artifact.Artifact(network, classes, preprocess, provenance=known, images=images)
    artifact.save(model, run / "model")
    return run


def draw(folder: Path, classes: dict[str, int], seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 256, (9, 9, 3), np.uint8)
            pixels[..., random.integers(3)] //= 3
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    draw(tmp_path / "colours" / "train", {"red": 2, "green": 2, "blue": 2})
    draw(tmp_path / "colours" / "test", {"red": 9, "green": 8, "blue": 7}, seed=1)
    return tmp_path / "colours"


def test_json_agrees_with_predictions_of_the_same_files(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = save_model(tmp_path / "run")
    assert main(["eval", str(run), str(data), "--json", "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    value = json.loads(captured.out)
    assert captured.err == ""
    assert set(value) >= KEYS
    assert (value["num_images"], value["split"], value["data"]) == (24, "test", "colours")
    right = {}
    for name in ("red", "green", "blue"):
        found = load(run, device="cpu").predict(data / "test" / name)
        right[name] = sum(p.top[0][0] == name for p in found)
    assert value["accuracy_pct"] == pytest.approx(100 * sum(right.values()) / 24)
    supports = {"blue": 7, "green": 8, "red": 9}
    for score in value["per_class"]:
        name = score["label"]
        assert score["support"] == supports[name]
        assert score["recall_pct"] == pytest.approx(100 * right[name] / supports[name])
    assert sum(right.values()) not in (0, 24), "the test would show nothing"


def test_labels_go_by_name_not_by_number(data: Path, tmp_path: Path, capsys: Capture) -> None:
    """A model whose classes are in another order, and data that lack one of them."""
    one = save_model(tmp_path / "one", ("blue", "green", "red"))
    other = save_model(tmp_path / "other", ("green", "red", "blue"))
    accuracies = []
    for run in (one, other):
        assert main(["eval", str(run), str(data), "--json", "--device", "cpu"]) == 0
        accuracies.append(json.loads(capsys.readouterr().out)["accuracy_pct"])
    draw(tmp_path / "two", {"red": 5, "green": 4})
    assert main(["eval", str(one), str(tmp_path / "two"), "--json", "--device", "cpu"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["split"] == "all images"
    supports = {score["label"]: score["support"] for score in value["per_class"]}
    assert supports == {"blue": 0, "green": 4, "red": 5}
    assert main(["eval", str(one), str(other), str(data), "--json", "--device", "cpu"]) == 0
    together = json.loads(capsys.readouterr().out)
    assert [m["accuracy_pct"] for m in together["models"]] == accuracies


def test_a_class_that_the_model_does_not_know(data: Path, tmp_path: Path, capsys: Capture) -> None:
    run = save_model(tmp_path / "run", ("blue", "green", "redd"))
    assert main(["eval", str(run), str(data)]) == 3
    assert "class 'red'" in (error := capsys.readouterr().err)
    assert "did you mean 'redd'?" in error


def test_two_models_each_together_and_paired(data: Path, tmp_path: Path, capsys: Capture) -> None:
    runs = [str(save_model(tmp_path / name, seed=i)) for i, name in enumerate("ab")]
    assert main(["eval", *runs, str(data), "--json", "--device", "cpu"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [set(model) >= KEYS for model in value["models"]] == [True, True]
    assert [model["model"] for model in value["models"]] == runs
    assert set(value["ensemble"]) >= KEYS
    first, second = (model["accuracy_pct"] for model in value["models"])
    assert value["paired"]["difference_pct"] == pytest.approx(second - first)
    assert main(["eval", *runs, str(data), "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    for words in ("together", "b minus a: ", "McNemar's mid-p", "top-3 %", "together, by class"):
        assert words in text


def test_three_models_are_not_paired(data: Path, tmp_path: Path, capsys: Capture) -> None:
    runs = [str(save_model(tmp_path / name, seed=i)) for i, name in enumerate("abc")]
    assert main(["eval", *runs, str(data), "--json", "--device", "cpu"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert len(value["models"]) == 3
    assert set(value) == {"models", "ensemble"}


def test_the_table_fits_a_small_terminal(data: Path, tmp_path: Path, capsys: Capture) -> None:
    run = save_model(tmp_path / "a-run-with-quite-a-long-name")
    assert main(["eval", str(run), str(data), "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    for words in ("colours, test: 24 images, center view", "95% interval", "F1 %", "was called"):
        assert words in text


@pytest.mark.parametrize(
    "words",
    [
        ["--tta", "10-crop"],
        ["--tta", "multi-scale"],
        ["--tta", "10-crop", "--average", "logits"],
    ],
)
def test_views(data: Path, tmp_path: Path, capsys: Capture, words: list[str]) -> None:
    run = save_model(tmp_path / "run")
    assert main(["eval", str(run), str(data), "--json", "--device", "cpu", *words]) == 0
    assert json.loads(capsys.readouterr().out)["num_images"] == 24


def test_csv_has_a_line_an_image(data: Path, tmp_path: Path, capsys: Capture) -> None:
    run = save_model(tmp_path / "run")
    out = tmp_path / "images.csv"
    words = ["--csv", str(out), "--json", "--device", "cpu"]
    assert main(["eval", str(run), str(data), *words]) == 0
    value = json.loads(capsys.readouterr().out)
    with open(out, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    right = sum(int(row["correct"]) for row in rows)
    assert value["accuracy_pct"] == pytest.approx(100 * right / 24)
    for row in rows:
        assert Path(row["image"]).is_file()
        assert Path(row["image"]).parent.name == row["label"]
        assert int(row["correct"]) == (row["label"] == row["predicted"])


def test_the_split_of_the_run_is_used_for_the_data_it_trained_on(
    tmp_path: Path, capsys: Capture
) -> None:
    """A flat folder, evaluated again, must not be measured on the images trained on."""
    draw(tmp_path / "flat", {"red": 10, "green": 10, "blue": 10})
    dataset = open_dataset(tmp_path / "flat")
    split = complete_splits(dataset, val_fraction=0.1, test_fraction=0.3, seed=5)
    provenance: dict[str, object] = {"dataset": {"fingerprint": dataset.fingerprint()}}
    run = save_model(tmp_path / "run", provenance=provenance)
    (run / "split.json").write_text(json.dumps(splits_to_json(split)))
    command = ["eval", str(run), str(tmp_path / "flat"), "--json", "--device", "cpu"]
    assert main(command) == 0
    captured = capsys.readouterr()
    value = json.loads(captured.out)
    assert (value["split"], value["num_images"]) == ("test", len(split.splits["test"]))
    assert captured.err == ""

    assert main([*command, "--split", "train"]) == 0
    captured = capsys.readouterr()
    count = len(split.splits["train"])
    assert f"was trained on {count} of these {count} images" in captured.err

    (run / "split.json").unlink()
    assert main(command) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["num_images"] == 30
    assert "was trained on part of these very images" in captured.err


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    draw(tmp_path / "flat", {"red": 10, "green": 10, "blue": 10})
    return tmp_path / "flat"


@pytest.fixture
def flat_run(flat: Path, tmp_path: Path) -> Path:
    """Return a run on the flat folder, of which it held out 9 images for the test."""
    dataset = open_dataset(flat)
    split = complete_splits(dataset, val_fraction=0.1, test_fraction=0.3, seed=5)
    return save_model(tmp_path / "run", images=ImageRecord.of(split))


def measured(run: Path, data: Path, out: Path, *words: str) -> set[str]:
    """Evaluate, and return which images were measured."""
    words = ("--csv", str(out), "--json", "--device", "cpu", *words)
    assert main(["eval", str(run), str(data), *words]) == 0
    with open(out, encoding="utf-8", newline="") as file:
        return {str(Path(row["image"]).relative_to(data)) for row in csv.DictReader(file)}


@pytest.fixture
def names(flat: Path) -> dict[str, set[str]]:
    """Return which files of the flat folder its run put into which split."""
    split = complete_splits(open_dataset(flat), val_fraction=0.1, test_fraction=0.3, seed=5)
    keys = image_keys(split)
    return {str(name): {keys[i] for i in numbers} for name, numbers in split.splits.items()}


def rename_all(folder: Path) -> dict[str, str]:
    """Give every file of a folder another name, in another order; return new name -> old name."""
    old_names = {}
    for number, path in enumerate(sorted(folder.rglob("*.png"), reverse=True)):
        renamed = path.with_name(f"IMG_{number:04d}.png")
        old_names[str(renamed.relative_to(folder))] = str(path.relative_to(folder))
        path.rename(renamed)
    return old_names


def test_of_a_folder_that_has_grown_the_test_and_the_new_images_are_measured(
    flat: Path, flat_run: Path, names: dict[str, set[str]], tmp_path: Path, capsys: Capture
) -> None:
    Image.new("RGB", (9, 9), "red").save(flat / "red" / "new.png")
    assert measured(flat_run, flat, tmp_path / "out.csv") == names["test"] | {"red/new.png"}
    captured = capsys.readouterr()
    assert json.loads(captured.out)["split"] == "test"
    (line,) = captured.err.splitlines()
    assert line == (
        f"30 of these 31 images are those of {flat_run} and are split as then; "
        "the others are for the test (--split all measures all)"
    )


def test_of_a_copy_under_other_names_no_training_image_is_measured(
    flat: Path, flat_run: Path, names: dict[str, set[str]], tmp_path: Path, capsys: Capture
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(flat, copy, copy_function=shutil.copyfile)
    assert measured(flat_run, copy, tmp_path / "out.csv") == names["test"]
    assert measured(flat_run, copy, tmp_path / "out.csv", "--split", "val") == names["val"]
    old_name = rename_all(copy)
    found = measured(flat_run, copy, tmp_path / "out.csv")
    assert {old_name[name] for name in found} == names["test"]
    gone = sorted(found)[0]
    (copy / gone).unlink()
    assert measured(flat_run, copy, tmp_path / "out.csv") == found - {gone}
    model_alone = shutil.copytree(flat_run / "model", tmp_path / "elsewhere")
    assert measured(model_alone, copy, tmp_path / "out.csv") == found - {gone}
    assert "warning" not in capsys.readouterr().err


def test_an_archive_of_the_folder_is_the_same_data_set(
    flat: Path, flat_run: Path, names: dict[str, set[str]], tmp_path: Path, capsys: Capture
) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", flat)
    command = ["eval", str(flat_run), packed, "--csv", str(tmp_path / "out.csv")]
    assert main([*command, "--device", "cpu"]) == 0
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        found = {"/".join(Path(row["image"]).parts[-2:]) for row in csv.DictReader(file)}
    assert found == names["test"]
    assert capsys.readouterr().err == ""


def test_other_images_with_the_names_of_training_images_are_all_measured(
    flat_run: Path, tmp_path: Path, capsys: Capture
) -> None:
    draw(tmp_path / "new", {"red": 10, "green": 10, "blue": 10}, seed=9)
    assert len(measured(flat_run, tmp_path / "new", tmp_path / "out.csv")) == 30
    captured = capsys.readouterr()
    assert json.loads(captured.out)["split"] == "all images"
    assert captured.err == ""


def test_training_images_can_be_measured_with_a_warning(
    flat: Path, flat_run: Path, names: dict[str, set[str]], tmp_path: Path, capsys: Capture
) -> None:
    Image.new("RGB", (9, 9), "red").save(flat / "red" / "new.png")
    assert len(measured(flat_run, flat, tmp_path / "out.csv", "--split", "all")) == 31
    captured = capsys.readouterr()
    assert json.loads(captured.out)["split"] == "all images"
    count = len(names["train"])
    (line,) = captured.err.splitlines()
    assert line == f"warning: {flat_run} was trained on {count} of these 31 images"
    for name in names["val"] | names["test"] | {"red/new.png"}:
        (flat / name).unlink()
    assert measured(flat_run, flat, tmp_path / "out.csv") == names["train"]
    assert f"trained on {count} of these {count} images" in capsys.readouterr().err


def test_a_test_split_of_the_data_themselves_is_kept_and_what_was_seen_is_said(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = save_model(tmp_path / "run", images=ImageRecord.of(open_dataset(data)))
    shutil.copy(data / "train" / "red" / "0.png", data / "test" / "red" / "leak.png")
    Image.new("RGB", (9, 9), "red").save(data / "train" / "red" / "new.png")
    assert len(measured(run, data, tmp_path / "out.csv")) == 25
    assert f"{run} was trained on 1 of these 25 images" in capsys.readouterr().err
    assert len(measured(run, data, tmp_path / "out.csv", "--split", "train")) == 7
    assert f"{run} was trained on 6 of these 7 images" in capsys.readouterr().err


def test_what_the_model_before_was_trained_on_counts_too(
    flat: Path, names: dict[str, set[str]], tmp_path: Path, capsys: Capture
) -> None:
    """A model that was fine-tuned on other images still knows those of its first training."""
    first = ImageRecord.of(
        complete_splits(open_dataset(flat), val_fraction=0.1, test_fraction=0.3, seed=5)
    )
    draw(tmp_path / "second", {"red": 4, "green": 4, "blue": 4}, seed=9)
    second = complete_splits(open_dataset(tmp_path / "second"), val_fraction=0, seed=0)
    run = save_model(tmp_path / "run", images=ImageRecord.of(second, earlier=first.seen))
    found = measured(run, flat, tmp_path / "out.csv")
    assert found == names["val"] | names["test"]
    assert "warning" not in capsys.readouterr().err


def test_images_of_an_array_are_known_by_their_pixels(tmp_path: Path) -> None:
    digits = complete_splits(open_dataset("digits"), val_fraction=0.1, seed=0)
    run = save_model(tmp_path / "run", digits.classes[:3], images=ImageRecord.of(digits))
    model = artifact.load(run)
    some = digits.splits["train"][:40]
    part = Dataset("part", digits.classes, digits.images.take(some), digits.labels[some], {})
    assert protocol.seen_in_training(part, np.arange(40), run, model).count == 40
    inverted = ArrayImages(255 - np.stack([digits.images.read(int(n)) for n in some]))
    other = Dataset("other", digits.classes, inverted, digits.labels[some], {})
    assert protocol.seen_in_training(other, np.arange(40), run, model).count == 0


@pytest.fixture
def old_run(flat: Path, tmp_path: Path) -> Path:
    """Return a run on the flat folder as the first versions left it: no digests, names only."""
    dataset = open_dataset(flat)
    split = complete_splits(dataset, val_fraction=0.1, test_fraction=0.3, seed=5)
    about = {"fingerprint": first_fingerprint(dataset)}
    run = save_model(tmp_path / "old", provenance={"data": str(flat), "dataset": about})
    (run / "split.json").write_text(json.dumps(splits_to_json(split)))
    return run


def test_an_old_run_knows_the_very_folder_it_was_made_on(
    flat: Path, old_run: Path, names: dict[str, set[str]], tmp_path: Path, capsys: Capture
) -> None:
    assert measured(old_run, flat, tmp_path / "out.csv") == names["test"]
    assert capsys.readouterr().err == ""
    Image.new("RGB", (9, 9), "red").save(flat / "red" / "new.png")
    assert measured(old_run, flat, tmp_path / "out.csv") == names["test"] | {"red/new.png"}
    assert "30 of these 31 images are those of" in capsys.readouterr().err


def test_an_old_run_does_not_take_other_images_for_its_own(
    old_run: Path, tmp_path: Path, capsys: Capture
) -> None:
    draw(tmp_path / "new", {"red": 10, "green": 10, "blue": 10}, seed=9)
    assert len(measured(old_run, tmp_path / "new", tmp_path / "out.csv")) == 30
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{old_run} does not record which images it was trained on")


def test_validation_that_a_run_held_out_of_train_can_be_asked_for(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    dataset = open_dataset(data)
    split = complete_splits(dataset, val_fraction=0.5, seed=5)
    provenance: dict[str, object] = {"dataset": {"fingerprint": dataset.fingerprint()}}
    run = save_model(tmp_path / "run", provenance=provenance)
    (run / "split.json").write_text(json.dumps(splits_to_json(split)))
    command = ["eval", str(run), str(data), "--json", "--device", "cpu", "--split"]
    for name in ("val", "test"):
        assert main([*command, name]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["num_images"] == len(split.splits[name])  # type: ignore[index]
        assert captured.err == ""


def test_another_run_that_trained_on_the_test_images_is_named(
    tmp_path: Path, capsys: Capture
) -> None:
    draw(tmp_path / "flat", {"red": 10, "green": 10, "blue": 10})
    dataset = open_dataset(tmp_path / "flat")
    provenance: dict[str, object] = {"dataset": {"fingerprint": dataset.fingerprint()}}
    runs, splits = [], []
    for seed in (1, 2):
        split = complete_splits(dataset, val_fraction=0, test_fraction=0.3, seed=seed)
        run = save_model(tmp_path / f"run{seed}", provenance=provenance, seed=seed)
        (run / "split.json").write_text(json.dumps(splits_to_json(split)))
        runs.append(str(run))
        splits.append(split.splits)
    seen = np.isin(splits[0]["test"], splits[1]["train"]).sum()
    assert seen
    command = ["eval", *runs, str(tmp_path / "flat"), "--json", "--device", "cpu"]
    assert main(command) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{runs[1]} was trained on {seen} of these" in line


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--split", "val"], 3, "has no split 'val'"),
        (["--scales", "8"], 2, "belongs to --tta multi-scale"),
        (["--tta", "multi-scale", "--scales", "8,x"], 2, "sides in pixels"),
        (["--tta", "multi-scale", "--scales", "0"], 2, "1 or more"),
        (["--average", "logits"], 2, "belongs to --tta 10-crop"),
        (["--tta", "multi-scale", "--average", "softmax"], 2, "belongs to --tta 10-crop"),
        (["--workers=-1"], 2, "--workers: must be 0 or more, received -1"),
        (["--batch-size", "0"], 2, "1 or more"),
        (["--tta", "centr"], 2, "center"),
        (["--device", "cuda:99"], 5, "--device cpu"),
    ],
)
def test_what_cannot_be_done(
    data: Path, tmp_path: Path, capsys: Capture, words: list[str], code: int, says: str
) -> None:
    run = save_model(tmp_path / "run")
    assert main(["eval", str(run), str(data), *words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert len(captured.err.splitlines()) == 1


def test_what_cannot_become_a_csv_is_refused_before_anything_is_measured(
    data: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reslab.cli import eval as verb

    run = save_model(tmp_path / "run")
    monkeypatch.setattr(verb, "_measure", lambda *_: pytest.fail("it was measured"))
    (tmp_path / "file").touch()
    for place, says in (
        (data, f"{data} is no file"),
        (Path("/dev/null"), "/dev/null is no file"),
        (tmp_path / "file" / "a" / "b.csv", f"{tmp_path / 'file'} is no folder"),
    ):
        assert main(["eval", str(run), str(data), "--csv", str(place)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err == f"reslab: --csv: {says}; name another file\n"


def test_a_csv_that_finds_no_space_does_not_cost_the_numbers(
    data: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reslab import durable
    from reslab.errors import MachineError

    def full(path: Path, content: bytes) -> None:
        raise MachineError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(durable, "write_file", full)
    run = save_model(tmp_path / "run")
    words = ["--csv", str(tmp_path / "out.csv"), "--json", "--device", "cpu"]
    assert main(["eval", str(run), str(data), *words]) == 5
    captured = capsys.readouterr()
    assert json.loads(captured.out)["num_images"] == 24
    assert "No space left" in captured.err


def test_a_folder_of_any_name_is_a_title(tmp_path: Path, capsys: Capture) -> None:
    run = save_model(tmp_path / "run")
    for name, title in (("su\udcff", r"su\xff"), ("[bold]", "[bold]")):
        draw(tmp_path / name, {"red": 4, "green": 4})
        assert main(["eval", str(run), str(tmp_path / name), "--device", "cpu"]) == 0
        assert f"{title}, all images: 8 images" in capsys.readouterr().out


def test_models_of_any_name_are_compared(data: Path, tmp_path: Path, capsys: Capture) -> None:
    runs = [str(save_model(tmp_path / name, seed=i)) for i, name in enumerate(("a", "b\udcff"))]
    assert main(["eval", *runs, str(data), "--device", "cpu"]) == 0
    assert r"b\xff minus a: " in capsys.readouterr().out


def test_classes_that_the_data_lack_are_not_called_left_out(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reslab.cli import eval as verb

    draw(tmp_path / "one", {"red": 5})
    run = save_model(tmp_path / "run", ("blue", "green", "red"))
    assert main(["eval", str(run), str(tmp_path / "one"), "--device", "cpu"]) == 0
    assert "lowest F1" not in capsys.readouterr().out
    draw(tmp_path / "three", {"red": 5, "green": 5, "blue": 5})
    monkeypatch.setattr(verb, "CLASS_LIMIT", 2)
    assert main(["eval", str(run), str(tmp_path / "three"), "--device", "cpu"]) == 0
    assert "by class (the 2 with the lowest F1 of 3)" in capsys.readouterr().out


def test_an_unreadable_image_stops_unless_it_is_left_out(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = save_model(tmp_path / "run")
    (data / "test" / "red" / "3.png").write_bytes(b"no image")
    assert main(["eval", str(run), str(data), "--device", "cpu"]) == 3
    assert "3.png" in capsys.readouterr().err
    command = ["eval", str(run), str(data), "--json", "--skip-corrupt", "--device", "cpu"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["num_images"] == 23
    assert captured.err == f"left out as unreadable: {data / 'test' / 'red' / '3.png'}\n"


def test_models_of_different_classes_are_not_averaged(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    one = save_model(tmp_path / "one")
    other = save_model(tmp_path / "other", ("blue", "green", "yellow"))
    assert main(["eval", str(one), str(other), str(data)]) == 3
    assert "has other classes" in capsys.readouterr().err


def test_a_metric_of_the_users_own_file(tmp_path, data, capsys):
    run = save_model(tmp_path / "run")
    own = tmp_path / "own.py"
    own.write_text(
        "from reslab.evaluate.metrics import metric\n"
        "@metric('blue_pct', words='called blue', better='lower', unit='%')\n"
        "def blue_pct(predictions):\n"
        "    return 100 * (predictions == 0).mean()\n"
    )
    try:
        words = ["eval", str(run), str(data), "--metrics", str(own)]
        assert main([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert 0 <= found["blue_pct"] <= 100
        assert main(words) == 0
        output = capsys.readouterr().out
        assert "called blue %" in output
        assert f"{found['blue_pct']:.2f}" in output
    finally:
        METRICS._values.pop("blue_pct", None)
    own.write_text("1 / 0")
    assert main(words) == 2
    assert f"{own}, line 1: ZeroDivisionError" in capsys.readouterr().err
