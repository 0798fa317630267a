"""What a study may be, where it comes from, and what its results say of themselves."""

from __future__ import annotations

import dataclasses
import json

import pytest

from reslab import networks
from reslab.errors import CheckpointError, UsageError
from reslab.studies import SHIPPED, reference, shipped
from reslab.study import After, Arm, Ordered, RunOutcome, Scale, Study, StudyResults
from reslab.study.load import load_study


def study_of(*arms: Arm, seeds: int = 2) -> Study:
    return Study(
        name="small-question",
        title="A small question",
        question="Which is better?",
        source="nobody",
        scales={"tiny": Scale(data="digits", arms=arms, seeds=seeds)},
        expectations=(Ordered(sentence="b is better.", better="b", worse="a"),),
    )


A, B = (Arm(name=name, group=name, model="resnet20") for name in "ab")


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ((A, A), "two arms are called 'a'"),
        ((dataclasses.replace(A, name="a/b"),), "cannot name a folder"),
        ((dataclasses.replace(A, name=".."),), "cannot name a folder"),
        ((dataclasses.replace(A, after=After("b", "start")), B), "needs 'b', which does not come"),
        ((A, dataclasses.replace(B, combines="a")), "needs a measure"),
        ((dataclasses.replace(A, model=""),), "names no network"),
        (
            (
                A,
                dataclasses.replace(
                    B, model=networks.entry("resnet32").spec, after=After("a", "deepen")
                ),
            ),
            "needs a network of the catalogue",
        ),
        ((), "has no arms"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused(arms, said):
    with pytest.raises(UsageError, match=said):
        study_of(*arms)


def test_a_scale_that_a_study_lacks_is_refused_with_those_it_has():
    with pytest.raises(UsageError, match=r"unknown scale .* 'paper' \(known: tiny\)"):
        study_of(A).scale("paper")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_name_networks_and_expect_arms_that_exist(name):
    study = shipped(name)
    assert study.name == name
    assert study.question.endswith("?")
    assert study.expectations
    for scale_name, scale in study.scales.items():
        for arm in scale.arms:
            if isinstance(arm.model, str) and arm.combines is None:
                assert networks.entry(arm.model)
        # Results without any run: every expectation finds its arms and says that it cannot tell.
        empty = StudyResults(
            study=study, scale_name=scale_name, data={}, outcomes=(), environment={}
        )
        assert {verdict.outcome for verdict in empty.verdicts()} == {"not decidable"}


def test_an_unknown_study_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'degradation'"):
        reference("degredation")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("STUDY = 3\n", "has a int there"),
        ("", "has nothing there"),
        ("import math\nmath.sqrt(-1)\n", "line 2: ValueError"),
        ("def f(:\n", "line 1: SyntaxError"),
    ],
)
def test_a_file_that_defines_no_study_is_one_line(tmp_path, text, said):
    path = tmp_path / "question.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        load_study(str(path))


def outcome(arm: str, seed: int, **metrics: float) -> RunOutcome:
    return RunOutcome(arm=arm, seed=seed, status="finished", metrics=metrics)


def results_of(*outcomes: RunOutcome) -> StudyResults:
    return StudyResults(
        study=study_of(A, B),
        scale_name="tiny",
        data={"classes": list("0123456789")},
        outcomes=outcomes,
        environment={},
    )


def test_diverged_runs_count_as_guessing_and_failed_ones_have_no_number():
    results = results_of(
        outcome("a", 0, test_error_pct=5.0, test_loss=0.2),
        RunOutcome(arm="a", seed=1, status="diverged", error="not finite"),
        RunOutcome(arm="a", seed=2, status="failed", error="no memory"),
        RunOutcome(arm="a", seed=3, status="missing"),
    )
    assert results.values("a", "test_error_pct") == {0: 5.0, 1: 90.0}
    assert results.values("a", "test_loss") == {0: 0.2}
    assert results.seeds == (0, 1, 2, 3)
    assert not results.complete


def test_results_survive_the_disk(tmp_path):
    results = results_of(
        RunOutcome(
            arm="a",
            seed=0,
            status="finished",
            run_dir="a/seed-0",
            metrics={"test_error_pct": 12.3456789012345},
            series={"responses": [0.1, 0.2]},
            rows=({"step": 3.0, "train_loss": 1.5},),
            recipe={"lr": 0.1},
        ),
        RunOutcome(arm="b", seed=0, status="diverged", error="é"),
    )
    results.save(tmp_path)
    assert StudyResults.load(results.study, tmp_path) == results
    verdicts = json.loads((tmp_path / "results.json").read_text())["verdicts"]
    assert [verdict["outcome"] for verdict in verdicts] == ["not decidable"]


def test_results_of_another_study_are_refused(tmp_path):
    results_of().save(tmp_path)
    with pytest.raises(CheckpointError, match="no results of study 'degradation'"):
        StudyResults.load(shipped("degradation"), tmp_path)
    with pytest.raises(CheckpointError, match="holds no study's results"):
        StudyResults.load(shipped("degradation"), tmp_path / "elsewhere")
