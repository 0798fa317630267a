"""Runs, models, studies and files of flags that reslab wrote at commit 21b2014 open and continue.

`tests/fixtures/at_21b2014/README.md` says how they were made.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reslab import api, artifact
from reslab.cli.main import main
from reslab.data.open import open_dataset
from reslab.errors import CheckpointError
from reslab.look.model_and_images import open_model_and_images
from reslab.runs.run import Run
from reslab.study.expansion import Setting, expand
from reslab.study.folder import StudyFolder
from reslab.study.load import load_study
from reslab.study.worker import RunEvents, execute

OLD = Path(__file__).parents[1] / "fixtures" / "at_21b2014"
TINY = Setting(scale="tiny")


def test_a_configuration_is_written_again_as_it_was_read():
    then = json.loads((OLD / "interrupted" / "config.json").read_text(encoding="utf-8"))
    now = json.loads(json.dumps(Run.open(OLD / "interrupted").read_config().to_json()))
    for name in ("command", "data", "seed", "dataset", "spec", "choices", "cost", "environment"):
        assert now[name] == then[name]
    # Fields may have been renamed since.
    same = now["request"].keys() & then["request"].keys()
    assert len(same) >= len(then["request"]) - 1
    assert {k: now["request"][k] for k in same} == {k: then["request"][k] for k in same}
    left = Counter(map(str, flat(then["recipe"]))) - Counter(map(str, flat(now["recipe"])))
    assert not left


def copied(name: str, folder: Path) -> Path:
    """Copy a fixture to where it may be written."""
    return Path(shutil.copytree(OLD / name, folder / name))


def rows_of(path: Path) -> list[dict[str, float]]:
    with open(path, encoding="utf-8", newline="") as file:
        return [{k: float(v or "nan") for k, v in row.items()} for row in csv.DictReader(file)]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """Run a command and return the JSON that it prints."""
    capsys.readouterr()
    main(list(words))
    return json.loads(capsys.readouterr().out)


def test_a_finished_run_is_reported(tmp_path):
    run = copied("finished", tmp_path)
    assert main(["report", str(run)]) == 0
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "highway10" in text
    assert "cannot be read" not in text


def test_runs_are_compared(tmp_path, capsys):
    other = copied("finished", tmp_path)
    found = printed(capsys, "compare", str(OLD / "finished"), str(other), "--json")
    assert [run["state"] for run in found["runs"]] == ["finished", "finished"]
    assert found["pairs"][0]["difference_pct"] == 0


@pytest.mark.parametrize("name", ["finished", "model"])
def test_a_model_is_evaluated_as_it_was_then(name, capsys):
    found = printed(capsys, "eval", str(OLD / name), "digits", "--json", "--split", "all")
    assert found["num_images"] == 1797
    if name == "finished":
        recorded = json.loads((OLD / "finished/evaluation/test.json").read_text(encoding="utf-8"))
        found = printed(capsys, "eval", str(OLD / name), "digits", "--json")
        assert found["split"] == "test"
        assert found["num_images"] == recorded["num_images"]
        assert found["accuracy_pct"] == pytest.approx(recorded["accuracy_pct"], abs=0.5)
        assert found["top5_pct"] == pytest.approx(recorded["top5_pct"], abs=0.5)


def test_a_model_predicts():
    predictor = api.load(OLD / "model", device="cpu")
    (found,) = predictor.predict([open_dataset("digits").images.read(0)])
    assert len(artifact.load(OLD / "model").classes) == 10
    assert found.top[0][0] in "0123456789"
    assert 0.1 <= found.top[0][1] <= 1


def test_a_finished_run_is_looked_at():
    subject = open_model_and_images(OLD / "finished", count=50, images=2)
    assert subject.sample is not None, subject.missing
    assert subject.sample.split == "test"
    assert subject.run == OLD / "finished"


def test_an_interrupted_run_continues_as_it_would_have_then(tmp_path):
    run = copied("interrupted", tmp_path)
    assert main(["train", "--resume", str(run), "--quiet"]) == 0
    found, then = rows_of(run / "results.csv"), rows_of(OLD / "continued.csv")
    assert [row["step"] for row in found] == [21, 41, 60]
    for name in ("lr", "train_loss", "val_loss", "ema_val_loss"):
        values = [[row[name] for row in rows] for rows in (found, then)]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-3, err_msg=name)
    assert artifact.load(run).classes == tuple("0123456789")


def test_an_interrupted_run_is_made_longer(tmp_path):
    run = copied("interrupted", tmp_path)
    assert main(["train", "--resume", str(run), "--quiet", "--steps", "64"]) == 0
    assert rows_of(run / "results.csv")[-1]["step"] == 64


def test_a_study_is_reported(tmp_path, capsys):
    study = copied("study", tmp_path)
    found = printed(
        capsys, "study", "report", str(OLD / "question.py"), "--out", str(study), "--json"
    )
    then = json.loads((OLD / "study" / "results.json").read_text(encoding="utf-8"))
    assert found["verdicts"] == then["verdicts"]
    assert [o["status"] for o in found["outcomes"]] == ["finished"] * 3 + ["missing"]
    for name in ("arm", "seed", "metrics"):
        assert [o[name] for o in found["outcomes"]] == [o[name] for o in then["outcomes"]]


def test_a_study_continues_where_it_was_interrupted(tmp_path):
    path = copied("study", tmp_path)
    study, folder = load_study(str(OLD / "question.py")), StudyFolder(path)
    folder.claim(study, TINY)
    plan = expand(study, TINY)
    assert [folder.stage(run) for run in plan] == ["done", "done", "done", "resume"]

    class Unheard:
        def send(self, value: Any) -> None:
            pass

    outcome = execute(plan[3], folder, RunEvents(Unheard(), plan[3].id), retry=False)
    assert outcome.status == "finished", outcome.error
    assert outcome.rows[-1]["step"] == 60
    events = (path / plan[3].id / "events.jsonl").read_text(encoding="utf-8")
    assert '"resume", "step": 31' in events


def test_a_damaged_outcome_is_named_with_its_file_and_field(tmp_path):
    path = copied("study", tmp_path)
    (run, *_) = expand(load_study(str(OLD / "question.py")), TINY)
    outcome = json.loads((path / f"{run.id}.json").read_text(encoding="utf-8"))
    (path / f"{run.id}.json").write_text(json.dumps({**outcome, "seed": "0"}))
    with pytest.raises(CheckpointError, match=r"seed-0\.json .*outcome\.seed must be"):
        StudyFolder(path).outcome(run)


def test_a_file_of_flags_is_read(tmp_path):
    out = tmp_path / "run"
    words = ["--config", str(OLD / "train.toml"), "--steps", "2", "--out", str(out), "--quiet"]
    assert main(["train", "digits", *words]) == 0
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    recipe, old = config["recipe"], json.loads((OLD / "finished" / "config.json").read_text())
    assert config["seed"] == 3
    assert config["request"]["test_fraction"] == 0.25
    # Values: names of fields may have changed.
    then = flat({**old["recipe"], "steps": 2})
    assert not Counter(map(str, then)) - Counter(map(str, flat(recipe)))


def flat(recipe: dict[str, Any]) -> list[Any]:
    """Return the values of a recipe, those of its augmentation among them."""
    own = {k: v for k, v in recipe.items() if k != "augment"}
    return [*own.values(), *recipe["augment"].values()]
