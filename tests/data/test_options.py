"""How data are to be read: said by flags, recorded by a run, and found again."""

import argparse
import copy
import json
import shutil
from pathlib import Path

import pytest
from pictures import write_pictures

import reslab
from reslab import artifact
from reslab.analyze.sample import open_sample
from reslab.cli import check as check_command
from reslab.cli import eval as eval_command
from reslab.cli.options import parse_columns
from reslab.data.collect import DataOptions, recorded_options
from reslab.errors import UsageError
from reslab.report import images as report_images
from reslab.runs.config import Config
from reslab.runs.run import Run


def test_flags_are_read_as_roles() -> None:
    assert parse_columns("path=file, label = breed") == ("path=file", "label=breed")
    assert parse_columns("label=a, b,split=x=y") == ("label=a, b", "split=x=y")
    for wrong in ("breed", "lable=breed", "label=", "label=a,label=b"):
        with pytest.raises(argparse.ArgumentTypeError):
            parse_columns(wrong)


def test_options_refuse_what_cannot_be() -> None:
    with pytest.raises(UsageError, match="role of a column 'lable'"):
        DataOptions(columns={"lable": "x"})
    with pytest.raises(UsageError, match="column 'x' cannot be both path and label"):
        DataOptions(columns={"path": "x", "label": "x"})
    assert DataOptions(columns={"split": "none", "group": "none"}).changed() == {
        "columns": {"split": "none", "group": "none"}
    }


def test_options_survive_their_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = DataOptions(columns={"label": "breed"}, root="pictures")
    assert options.root == str(tmp_path / "pictures"), "the record must hold from every folder"
    again = DataOptions.from_json(json.loads(json.dumps(options.to_json())))
    assert again == options
    assert eval(f"reslab.{again!r}") == options
    assert DataOptions.from_json(None) == DataOptions()


def test_recorded_options_belong_to_the_same_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.csv").touch()
    options = DataOptions(columns={"label": "breed"})
    record = {"data": str(tmp_path / "a.csv"), "data_options": options.to_json()}
    assert recorded_options(str(tmp_path / "." / "a.csv"), record) == options.as_opened()
    assert recorded_options(str(tmp_path / "b.csv"), record) == DataOptions()
    assert recorded_options(str(tmp_path / "a.csv"), {}) == DataOptions()


def test_another_table_is_read_by_the_recorded_columns_that_it_has(tmp_path: Path) -> None:
    options = DataOptions(columns={"label": "breed", "split": "fold:0", "group": "none"})
    record = {"data": str(tmp_path / "a.csv"), "data_options": options.to_json()}
    other = tmp_path / "b.csv"
    other.write_text("file,Breed,class\na.png,pug,1\n")
    there = {"label": "breed", "group": "none"}
    assert recorded_options(str(other), record) == DataOptions(columns=there)
    other.write_text("file,fold,class\na.png,1,1\n")
    there = {"split": "fold:0", "group": "none"}
    assert recorded_options(str(other), record) == DataOptions(columns=there)
    other.write_text("file,class\na.png,1\n")
    assert recorded_options(str(other), record) == DataOptions()
    other.write_bytes(b"PK\x03\x04")
    assert recorded_options(str(other), record) == DataOptions()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("options")
    write_pictures(folder / "elsewhere", {"img": 12})
    rows = [f"{n:03d},{'cat' if n % 2 else 'dog'},{n % 3},{n % 4}\n" for n in range(12)]
    (folder / "t.csv").write_text("photo_nr,animal,class,fold\n" + "".join(rows))
    return folder / "t.csv"


FLAGS = ["--columns", "label=animal,split=fold:0"]


def test_check_takes_the_flags(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    check_command.add_arguments(parser)
    root = ["--root", str(table.parent / "elsewhere" / "img")]
    args = parser.parse_args([str(table), "--quick", "--json", *FLAGS, *root])
    assert check_command.run(args) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["classes"] == ["cat", "dog"]
    assert found["splits"] == {"train": [6, 3], "test": [0, 3]}


def test_a_run_reads_its_data_again_as_it_did(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = DataOptions(
        columns={"label": "animal", "split": "fold:0"},
        root=str(table.parent / "elsewhere" / "img"),
    )
    result = reslab.train(
        table,
        overrides={"steps": 1, "batch_size": 4, "precision": "fp32", "val_fraction": 0.0},
        out=tmp_path / "run",
        device="cpu",
        data_options=options,
    )
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["dataset"]["classes"] == ["cat", "dog"]
    assert f"data_options=reslab.{options!r}" in config["command"][-1]
    dataset = Run.open(tmp_path / "run").dataset()
    assert len(dataset.split("test")) == 3
    moved = shutil.copytree(table.parent, tmp_path / "moved")
    gone = copy.deepcopy(config) | {"location": "/gone/t.csv"}
    gone["data_options"]["root"] = "/gone/elsewhere/img"
    other = Path(shutil.copytree(tmp_path / "run", tmp_path / "other"))
    (other / "config.json").write_text(json.dumps(gone))
    copied = Run.open(other).dataset(str(moved / "t.csv"))
    assert copied.labels.tolist() == dataset.labels.tolist()
    del config["request"]["data_options"]  # as older versions wrote it
    assert Config.from_json(config).request.data_options == DataOptions()
    model = artifact.load(result.run_dir)
    assert len(open_sample(model, result.run_dir)) == 3
    assert report_images.pictures(Run.open(tmp_path / "run"), None).missing == ""
    parser = argparse.ArgumentParser()
    eval_command.add_arguments(parser)
    args = parser.parse_args([str(result.run_dir), str(table), "--json", "--device", "cpu"])
    assert eval_command.run(args) == 0
    assert json.loads(capsys.readouterr().out)["num_images"] == 3
    copied_table = tmp_path / "new" / "later.csv"  # the recorded columns fit another table too
    copied_table.parent.mkdir()
    shutil.copy(table, copied_table)
    args.data = str(copied_table)
    assert eval_command.run(args) == 0
    assert json.loads(capsys.readouterr().out)["num_images"] == 3
