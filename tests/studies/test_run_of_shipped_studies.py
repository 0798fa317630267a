"""Shipped studies that measure more than errors, run for real with hardly any updates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reslab import api
from reslab.runs.run import Run
from reslab.studies import shipped
from reslab.studies.ensemble import error_of
from reslab.study import Arm, FinishedRun, RunOutcome, Scale, StudyResults
from reslab.study.expansion import merged
from reslab.study.measuring import measure_run, sorted_out
from reslab.study.report import write_report

pytestmark = pytest.mark.slow
SHORT: Mapping[str, Any] = {"steps": 3, "batch_size": 32}


def train(folder: Path, arm: Arm, scale: Scale, seed: int) -> FinishedRun:
    out = folder / arm.name / f"seed-{seed}"
    assert isinstance(arm.model, str)
    api.train(
        scale.data,
        model=arm.model,
        recipe=scale.recipe,
        overrides=merged(merged(scale.overrides, arm.overrides), SHORT),
        out=out,
        seed=seed,
    )
    return FinishedRun(arm.name, seed, out)


def outcome(run: FinishedRun, arm: Arm, runs: list[FinishedRun] | None = None) -> RunOutcome:
    metrics, series = measure_run(run.run_dir), {}
    if arm.measure is not None:
        more, series = sorted_out(arm.measure(runs or [run]))
        metrics = {**metrics, **more}
    return RunOutcome(
        arm=arm.name, seed=run.seed, status="finished", metrics=metrics, series=series,
        run_dir=f"{run.arm}/seed-{run.seed}", rows=Run.open(run.run_dir).rows,
        recipe=Run.open(run.run_dir).section("recipe"),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["layer-responses", "lesion"])
def test_measures_of_looking_inside(name: str, tmp_path: Path) -> None:
    study = shipped(name)
    scale = study.scale("tiny")
    outcomes = [
        outcome(train(tmp_path, arm, scale, 0), arm) for arm in scale.arms if (arm.x or 0) < 30
    ]
    for one in outcomes:
        assert study.metric in one.metrics
        assert all(np.isfinite(values).all() for values in one.series.values())
    if name == "layer-responses":
        assert {len(one.series["responses"]) for one in outcomes} == {19}
        ranked = outcomes[0].series["responses_ranked"]
        assert sorted(outcomes[0].series["responses"], reverse=True) == list(ranked)
    kept = tuple(arm for arm in scale.arms if arm.name in {one.arm for one in outcomes})
    small = dataclasses.replace(
        study, scales={"tiny": dataclasses.replace(scale, arms=kept)}, expectations=()
    )
    results = StudyResults(
        study=small, scale_name="tiny", data={"name": "digits"}, outcomes=tuple(outcomes),
        environment={},
    )  # fmt: skip
    page = write_report(results, tmp_path)
    assert f'href="{outcomes[0].run_dir}' in page.read_text()


def test_ensemble_averages_probabilities(tmp_path: Path) -> None:
    scale = shipped("ensemble").scale("tiny")
    runs = [train(tmp_path, scale.arms[0], scale, seed) for seed in range(2)]
    tests = [Run.open(run.run_dir).splits["test"] for run in runs]
    mean = np.mean([one.probabilities() for one in tests], axis=0)
    wrong = 100.0 * float((mean.argmax(axis=1) != tests[0].labels).mean())
    assert error_of(2, runs)["test_error_pct"] == pytest.approx(wrong)
    assert error_of(1, runs)["test_error_pct"] == pytest.approx(100 - tests[0].accuracy_pct)
