"""Training curves in the form of the papers: error by update, training thin and test bold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from reslab.charts.figure import Figure, figure_of
from reslab.charts.plot import COLORS, Plot, Series, error_top
from reslab.study.results import StudyResults
from reslab.study.study import Arm

HELD_OUT = (("test_error_pct", "test"), ("val_error_pct", "validation"))


def curve_figures(results: StudyResults) -> Iterator[Figure]:
    """Draw error by update: training dashed, test bold, a pair of axes for each group."""
    column, words = next(
        (one for one in HELD_OUT if _has_column(results, one[0])), ("", "held-out")
    )
    drawn = []
    for title, arms in panels(results):
        series = []
        for color, arm in enumerate(arms):
            for name, style in (("train_error_pct", "dashed"), (column, "bold")):
                steps, values = mean_curve(results, arm, name)
                if steps:
                    series.append(
                        Series(
                            label=f"{arm.name}, {'training' if style == 'dashed' else words}",
                            x=steps,
                            y=values,
                            style="dashed" if style == "dashed" else "bold",
                            color=color,
                        )
                    )
        if series:
            drawn.append((title, series))
    top = error_top([one for _, series in drawn for one in series])
    for title, series in drawn:
        heading = f"{title}: error, %" if title and not title.isdigit() else "error, %"
        plot = Plot(
            title=f"{heading[0].upper()}{heading[1:]}",
            x_label="update",
            series=series,
            limits=(0.0, top),
        )
        yield figure_of(
            f"curves-{title}" if title else "curves",
            plot,
            f"Dashed: training, as the network saw it; bold: {words}. Means over the seeds that "
            "finished.",
        )


def panels(results: StudyResults) -> list[tuple[str, tuple[Arm, ...]]]:
    """Share the arms among pairs of axes: a group each, at most six curves."""
    groups = results.groups()
    if all(len(arms) == 1 for arms in groups.values()):
        groups = {"": tuple(arm for arms in groups.values() for arm in arms)}
    found = []
    for name, arms in groups.items():
        parts = math.ceil(len(arms) / COLORS)
        for part in range(parts):
            size = math.ceil(len(arms) / parts)
            title = name if parts == 1 else f"{name} {part + 1}".strip()
            found.append((title, arms[part * size : (part + 1) * size]))
    return found


def mean_curve(results: StudyResults, arm: Arm, column: str) -> tuple[list[float], list[float]]:
    """Return updates and the mean of a column over the finished runs of an arm."""
    curves = []
    for outcome in results.of(arm.name):
        if outcome.status == "finished" and outcome.rows:
            steps = [_number(row.get("step")) for row in outcome.rows]
            values = [_number(row.get(column)) for row in outcome.rows]
            if any(math.isfinite(v) for v in values):
                curves.append((steps, values))
    longest = max((len(steps) for steps, _ in curves), default=0)
    kept = [values for steps, values in curves if len(steps) == longest]
    if not kept:
        return [], []
    steps = next(steps for steps, _ in curves if len(steps) == longest)
    return steps, np.mean(np.array(kept), axis=0).tolist()


def _has_column(results: StudyResults, name: str) -> bool:
    return any(
        math.isfinite(_number(row.get(name)))
        for outcome in results.outcomes
        for row in outcome.rows
    )


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
