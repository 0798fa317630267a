"""An interval of an error or an accuracy ends at 0 and 100%, wherever it is printed or drawn."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from synthetic import results

from reslab.evaluate.compare import compare
from reslab.evaluate.evaluation import Evaluation
from reslab.evaluate.statistics import wilson_pct
from reslab.study import Best, Ordered, statistics
from reslab.study.figures import figures
from reslab.study.report import collect
from reslab.study.report_markdown import markdown

rates = some.floats(0, 100)


@given(some.lists(rates, min_size=2, max_size=6))
def test_the_interval_of_a_mean_error_lies_within_0_and_100_and_holds_the_mean(values):
    within = statistics.range_of("test_error_pct")
    found = statistics.summarize(values, within=within)
    assert 0 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= 100
    free = statistics.summarize(values)
    # Only what cannot be is cut off.
    assert found.low == max(0.0, free.low)
    assert found.high == min(100.0, free.high)


@given(some.lists(some.tuples(rates, rates), min_size=2, max_size=6))
def test_the_interval_of_a_difference_of_errors_lies_within_100_points(pairs):
    first, second = ({i: pair[k] for i, pair in enumerate(pairs)} for k in (0, 1))
    found = statistics.paired(first, second, within=statistics.range_of_difference("val_error_pct"))
    free = statistics.paired(first, second)
    if math.isfinite(found.low):
        assert -100 <= found.low <= found.mean + 1e-9
        assert found.mean - 1e-9 <= found.high <= 100
    assert (found.low > 0, found.high < 0) == (free.low > 0, free.high < 0)
    assert (found.p_t, found.hedges_g) == (free.p_t, free.hedges_g)


def test_what_is_no_rate_keeps_its_whole_interval():
    for metric in ("test_loss", "wall_s", "params", "deletion_increase_pct"):
        assert statistics.range_of(metric) is None
        assert statistics.range_of_difference(metric) is None
    # A line fitted to errors may rise by more than 100 points: its mean stays inside.
    steep = statistics.from_zero([120.0, 118.0, 121.0], within=(-100.0, 100.0))
    assert steep.low < steep.mean == pytest.approx(119.667, abs=1e-3)
    assert steep.high == 121.0


@given(some.integers(1, 400).flatmap(lambda n: some.tuples(some.integers(0, n), some.just(n))))
def test_wilsons_interval_lies_within_0_and_100(counts):
    low, high = wilson_pct(*counts)
    assert 0 <= low <= 100 * counts[0] / counts[1] <= high <= 100


@given(some.lists(some.tuples(some.booleans(), some.booleans()), min_size=1, max_size=8))
def test_two_models_differ_by_100_points_at_most(right):
    labels = np.zeros(len(right), np.int64)
    one, two = (
        Evaluation(
            np.array([[1.0, 0.0] if row[k] else [0.0, 1.0] for row in right], np.float32),
            labels,
            np.arange(len(right)),
            ("a", "b"),
        )
        for k in (0, 1)
    )
    low, high = compare(one, two).ci95_pct
    assert -100 <= low <= high <= 100


def near_an_end(errors: dict[int, float]):
    """Return the synthetic study with errors of its first two arms at an end of the range."""
    study = results()
    first, second, third = (arm.name for arm in study.arms[:3])
    outcomes = []
    for outcome in study.outcomes:
        if outcome.arm in (first, second, third) and outcome.status == "finished":
            shift = 100.0 - errors[outcome.seed] if outcome.arm == second else errors[outcome.seed]
            metrics = {**outcome.metrics, "test_error_pct": shift}
            outcome = dataclasses.replace(outcome, metrics=metrics)
        outcomes.append(outcome)
    expectations = (
        Ordered(sentence="A", better=first, worse=second, metric="test_error_pct"),
        Best(sentence="B", better=first, others=(second, third), metric="test_error_pct"),
    )
    return dataclasses.replace(
        study,
        study=dataclasses.replace(study.study, expectations=expectations),
        outcomes=tuple(outcomes),
    )


def test_a_studys_report_prints_no_error_below_0_or_above_100(tmp_path):
    # Student's t by itself reaches from -0.89 to 1.56, and from 98.44 to 100.89.
    study = near_an_end({0: 0.0, 1: 0.1, 2: 0.9})
    text = markdown(collect(study, tmp_path))
    table = text[text.index("## Numbers") :]
    errors = [
        (float(low), float(high)) for low, high in re.findall(r"\| (-?[\d.]+) to (-?[\d.]+)", table)
    ]
    assert (0.0, 1.56) in errors
    assert all(0 <= low <= high for low, high in errors)
    assert "98.44 to 100.00" in table
    for verdict in study.verdicts():
        for name, value in verdict.statistics.items():
            ends = value if isinstance(value, dict) else {name: value}
            for end in ("low", "high"):
                assert ends.get(end) is None or -100 <= ends[end] <= 100


def test_an_axis_of_errors_ends_where_errors_do():
    study = near_an_end({0: 0.0, 1: 0.0, 2: 0.4})
    flat = dataclasses.replace(
        study,
        study=dataclasses.replace(
            study.study,
            metric="test_error_pct",
            scales={
                name: dataclasses.replace(
                    scale, arms=tuple(dataclasses.replace(arm, x=None) for arm in scale.arms)
                )
                for name, scale in study.study.scales.items()
            },
        ),
    )
    drawn = [figure for figure in figures(flat) if figure.name.endswith("by-arm")]
    assert drawn
    for figure in drawn:
        ticks = [float(text) for text in re.findall(r'class="tick-x"[^>]*>(-?[\d.]+)<', figure.svg)]
        assert ticks
        assert 0 <= min(ticks) <= max(ticks) <= 100


REPORTS = sorted((Path(__file__).parents[2] / "docs" / "studies").glob("*/report.md"))


def test_no_published_report_prints_an_error_outside():
    assert len(REPORTS) > 3
    for path in REPORTS:
        text = path.read_text(encoding="utf-8")
        rows = [
            line.split(" | ") for line in text.split("## Numbers")[1].splitlines() if "|" in line
        ]
        heads = rows[0]
        # The interval stands right of its metric.
        errors = [
            i + 1 for i, head in enumerate(heads) if "rror" in head and "interval" in heads[i + 1]
        ]
        assert errors, path
        for row in rows[2:]:
            for place in errors:
                ends = (
                    re.fullmatch(r"(-?[\d.]+) to (-?[\d.]+)", row[place]) if row[place:] else None
                )
                if ends is not None:
                    assert 0 <= float(ends[1]) <= float(ends[2]) <= 100, (path, row)
