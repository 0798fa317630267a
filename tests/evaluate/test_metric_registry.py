"""Metrics of a user's own: the documented one, where they are shown, and what is refused."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import recall_score

from reslab.errors import UsageError
from reslab.evaluate import summary
from reslab.evaluate.card import evaluation_card
from reslab.evaluate.evaluation import Evaluation
from reslab.evaluate.metrics import METRICS, columns_of, higher_is_better, metric, metric_of
from reslab.report.curves import curves
from reslab.runs.directory import RunDirectory
from reslab.runs.run import Run
from reslab.study import Arm, Best, Ordered, RunOutcome, Scale, Study, StudyResults
from reslab.study.figures import metric_words
from reslab.study.statistics import range_of, range_of_difference
from reslab.user_file import run_file

DOCS = Path(__file__).parents[2] / "docs" / "evaluate.md"
NAME = "macro_recall_pct"


@pytest.fixture
def documented(tmp_path: Path) -> Iterator[Path]:
    """The file that the documentation shows, run; what it registers is gone afterwards."""
    found = re.search(r"```python\n(# my_metrics\.py\n.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "my_metrics.py").write_text(found[1])
    kept = dict(METRICS._values)
    run_file(tmp_path / "my_metrics.py", "metrics")
    yield tmp_path / "my_metrics.py"
    METRICS._values = kept


def evaluation(seed: int = 0) -> Evaluation:
    draw = np.random.default_rng(seed)
    labels = draw.choice(4, 200, p=[0.7, 0.2, 0.1, 0.0])
    logits = draw.normal(size=(200, 4)).astype(np.float32)
    logits[:, 0] += 1.0
    logits[np.arange(200), labels] += 1.0
    return Evaluation(logits, labels, np.arange(200), ("a", "b", "c", "never"))


def recall_pct(found: Evaluation) -> float:
    present = np.unique(found.labels)
    score = recall_score(found.labels, found.predictions, labels=present, average="macro")
    return float(100 * score)


def test_the_documented_metric_stands_in_an_evaluation(documented):
    found = evaluation()
    expected = recall_pct(found)
    assert found.to_json()[NAME] == pytest.approx(expected)
    place = [heading for heading, _ in summary.score_columns(found)].index("macro recall %")
    assert summary.score_row("model", found)[place] == f"{expected:.2f}"
    assert f"macro recall {expected:.2f}%" in evaluation_card(found)
    assert METRICS[NAME].needs == ("confusion",)


def test_one_that_comes_with_reslab_stands_in_the_same_places(documented, tmp_path):
    METRICS.replace(NAME, dataclasses.replace(METRICS[NAME], built_in=True))
    test_the_documented_metric_stands_in_an_evaluation(documented)
    assert metric_words(f"test_{NAME}") == "Test macro recall, %"
    test_rows_have_a_column_and_the_report_a_curve(documented, tmp_path)


def test_without_others_the_numbers_are_what_they_were():
    found = evaluation()
    assert list(found.to_json()) == [
        "accuracy_pct", "top5_pct", "top_k", "ci95_pct", "num_images", "per_class", "ece_pct",
        "temperature",
    ]  # fmt: skip
    assert [heading for heading, _ in summary.score_columns(found)] == [
        "model", "accuracy %", "95% interval", "top-4 %", "ECE %",
    ]  # fmt: skip
    assert columns_of(found, "val", "rows") == {
        "val_loss": found.nll(1.0),
        "val_error_pct": 100.0 - found.accuracy_pct,
    }


def test_rows_have_a_column_and_the_report_a_curve(documented, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    rows = [
        {"epoch": e, "step": e, "lr": 0.1, "train_loss": 1.0, "train_error_pct": 50.0}
        | columns_of(evaluation(e), "val", "rows")
        for e in (1, 2)
    ]
    RunDirectory(run).write_rows(rows)
    with open(run / "results.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert list(written[0])[-3:] == ["val_loss", "val_error_pct", f"val_{NAME}"]
    assert float(written[1][f"val_{NAME}"]) == pytest.approx(recall_pct(evaluation(2)))
    (run / "config.json").write_text('{"data": "made up"}')
    plots = {plot.title: plot for plot in curves(Run.open(run))}
    expected = [recall_pct(evaluation(1)), recall_pct(evaluation(2))]
    assert plots["Macro recall, %"].series[0].y == pytest.approx(expected)
    METRICS._values.pop(NAME)  # a process that continues the run without the file
    RunDirectory(run).write_rows(rows)
    assert f"val_{NAME}" in (run / "results.csv").read_text()
    assert "Macro recall, %" in {plot.title for plot in curves(Run.open(run))}


def study_of(values: dict[str, list[float]], metric_name: str) -> StudyResults:
    arms = tuple(Arm(name=name, group=name, model="resnet20") for name in values)
    study = Study(
        name="made-up", title="", question="?", source="", metric=metric_name,
        scales={"tiny": Scale(data="digits", arms=arms)},
    )  # fmt: skip
    outcomes = tuple(
        RunOutcome(arm=arm, seed=seed, status="finished", metrics={metric_name: value})
        for arm, of_arm in values.items()
        for seed, value in enumerate(of_arm)
    )
    return StudyResults(study=study, scale_name="tiny", data={}, outcomes=outcomes, environment={})


def test_a_study_knows_which_way_is_better(documented):
    name = f"test_{NAME}"
    assert higher_is_better(name)
    assert not higher_is_better("test_error_pct")
    assert not higher_is_better("nobody_knows")
    assert (range_of(name), range_of_difference(name)) == ((0, 100), (-100, 100))
    assert metric_words(name) == "Test macro recall, %"
    values = {"good": [80.0, 81, 82.5], "bad": [70.0, 72, 72], "worse": [60.0, 61, 63]}
    results = study_of(values, name)
    first = Ordered(sentence="", better="good", worse="bad").test(results)
    assert (first.outcome, first.statistics["mean"]) == ("reproduced", pytest.approx(29.5 / 3))
    assert f"{name} of good minus bad" in first.because
    turned = Ordered(sentence="", better="bad", worse="good").test(results)
    assert turned.outcome == "not reproduced"
    best = Best(sentence="", better="good", others=("bad", "worse")).test(results)
    assert best.outcome == "reproduced"
    assert Best(sentence="", better="bad", others=("good",)).test(results).outcome != "reproduced"
    # The same numbers as an error are the other way round.
    errors = study_of(values, "test_error_pct")
    assert Ordered(sentence="", better="bad", worse="good").test(errors).outcome == "reproduced"


def test_what_cannot_be_registered_is_refused_in_a_line(documented):
    def value(labels):
        return 0.0

    def needy(logit):
        return 0.0

    with pytest.raises(UsageError, match=r"needs 'logit', .*did you mean 'logits'"):
        metric("mine", words="mine", better="lower")(needy)
    with pytest.raises(UsageError, match="'error_pct' is one of reslab's own"):
        metric("error_pct", words="mine", better="lower")(value)
    with pytest.raises(UsageError, match="must be a word of lower-case letters"):
        metric("My metric", words="mine", better="lower")(value)
    with pytest.raises(UsageError, match="better must be higher or lower, not 'more'"):
        metric("mine", words="mine", better="more")(value)  # type: ignore[arg-type]
    with pytest.raises(
        UsageError, match=r"unknown place of metric 'mine' 'row' .*did you mean 'rows'"
    ):
        metric("mine", words="mine", better="lower", places=("row",))(value)  # type: ignore[arg-type]
    assert "mine" not in METRICS
    run_file(documented, "metrics")  # a second time, as a study is loaded by each of its workers
    assert metric_of(f"ema_val_{NAME}") is METRICS[NAME]


def test_only_where_it_is_wanted(documented):
    metric("mean_logit", words="mean logit", better="lower", places=("rows",))(
        lambda logits: logits.mean()
    )
    assert "mean_logit" not in evaluation().to_json()
    assert "val_mean_logit" in columns_of(evaluation(), "val", "rows")
