"""The reader of run directories, apart from what the report and resuming show of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from old_runs import first_fingerprint
from reslab.data.collect import DataOptions
from reslab.data.open import open_dataset
from reslab.data.split import complete_splits, splits_to_json
from reslab.errors import CheckpointError, DataError
from reslab.runs.run import Run


def test_a_configuration_that_cannot_be_read_is_named_with_its_field(tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "fixtures" / "at_21b2014" / "finished" / "config.json"
    config = json.loads(old.read_text(encoding="utf-8"))
    path = tmp_path / "config.json"
    for change, said in (
        ({"recipe": {**config["recipe"], "lr": "fast"}}, "recipe.lr must be a number, received"),
        ({"request": {**config["request"], "workers": 1.5}}, "request.workers must be a whole"),
        ({"spec": {**config["spec"], "kind": "highwya"}}, "unknown spec kind 'highwya'"),
        ({"choices": [{"what": "lr"}]}, "choices[0].chosen is missing"),
    ):
        path.write_text(json.dumps({**config, **change}))
        with pytest.raises(CheckpointError) as refused:
            Run(tmp_path).read_config()
        assert str(refused.value).startswith(f"{path} is damaged: "), refused.value
        assert said in str(refused.value)
    path.write_text(json.dumps({k: v for k, v in config.items() if k != "cost"}))
    with pytest.raises(CheckpointError, match="is damaged: 'cost' is missing"):
        Run(tmp_path).read_config()
    path.unlink()
    with pytest.raises(CheckpointError, match=r"is no run directory: config\.json is missing"):
        Run(tmp_path).read_config()


def test_an_old_run_keeps_its_label_where_names_lie_beside_numbers(tmp_path: Path) -> None:
    """Today the names are the classes; the run took the numbers in the column "label"."""
    for n in range(12):
        Image.new("RGB", (8, 8), (20 * n, 9, 9)).save(tmp_path / f"{n}.png")
    rows = [f"{n}.png,{n % 2},{('cat', 'dog')[n % 2]}\n" for n in range(12)]
    table = tmp_path / "t.csv"
    table.write_text("path,label,class_name\n" + "".join(rows))
    then = open_dataset(table, options=DataOptions(columns={"label": "label"}))
    assert open_dataset(table).classes == ("cat", "dog")
    split = complete_splits(then, val_fraction=0, test_fraction=0.25, seed=0)
    run = tmp_path / "run"
    run.mkdir()
    about = {"classes": list(then.classes), "fingerprint": first_fingerprint(then)}
    (run / "config.json").write_text(json.dumps({"data": str(table), "dataset": about}))
    (run / "split.json").write_text(json.dumps(splits_to_json(split)))
    again = Run.open(run).dataset()
    assert again.classes == ("0", "1")
    assert again.split("test").tolist() == split.split("test").tolist()
    table.write_text(table.read_text().replace(",0,", ",2,"))
    with pytest.raises(DataError, match=r"labels of '.*t\.csv' have changed"):
        Run.open(run).dataset()
