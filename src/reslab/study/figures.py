"""A study's results as figures in the papers' own form: by iteration, by depth, by arm."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from reslab.charts.axis import round_step
from reslab.charts.dots import DotRows, Dots
from reslab.charts.figure import Figure, Key, figure_of
from reslab.charts.plot import COLORS, Plot, Series, error_top
from reslab.evaluate.metrics import metric_of
from reslab.study.results import StudyResults
from reslab.study.statistics import range_of
from reslab.study.study import Arm

METRIC_WORDS = {
    "test_error_pct": "Test error, %",
    "train_error_pct": "Training error, %",
    "val_error_pct": "Validation error, %",
    "running_train_error_pct": "Training error in the last epoch, %",
    "test_loss": "Test loss",
    "train_loss": "Training loss",
    "val_loss": "Validation loss",
    "wall_s": "Time of a run, s",
    "params": "Parameters",
    "macs": "Multiply-adds",
    "steps": "Updates",
}
HELD_OUT = (("test_error_pct", "test"), ("val_error_pct", "validation"))
_WIDE = 8.0  # from this ratio of the largest to the least value on, axes are logarithmic


def figures(results: StudyResults) -> tuple[Figure, ...]:
    """Draw what there is to draw: the curves, the metric by x or by arm, what arms measured."""
    shown = dict.fromkeys((results.study.metric, "test_error_pct", "train_error_pct"))
    return (
        *curve_figures(results),
        *_by_x(results, [m for m in shown if _known(results, m)]),
        *_by_arm(results, results.study.metric),
        *_series(results),
    )


def metric_words(metric: str) -> str:
    """Return what a metric is called on an axis."""
    if metric in METRIC_WORDS:
        return METRIC_WORDS[metric]
    known = metric_of(metric)
    if known is not None and not known.by_name:
        split = {"train": "Training", "val": "Validation", "test": "Test"}
        of = split.get(metric.removesuffix(known.name).rstrip("_"), "")
        return f"{of} {known.axis[:1].lower()}{known.axis[1:]}" if of else known.axis
    plain = metric.removesuffix("_pct").replace("_", " ").capitalize()
    return f"{plain}, %" if metric.endswith("_pct") else plain


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


def _known(results: StudyResults, metric: str) -> bool:
    return any(results.values(arm.name, metric) for arm in results.arms)


def _by_x(results: StudyResults, metrics: Sequence[str]) -> Iterator[Figure]:
    curves = {
        name: sorted((a for a in arms if a.x is not None), key=lambda a: a.x or 0.0)
        for name, arms in results.groups().items()
    }
    curves = {name: arms for name, arms in curves.items() if len(arms) > 1}
    for metric in metrics:
        series: list[Series] = []
        legend: list[Key] = []
        for color, (name, arms) in enumerate(list(curves.items())[:COLORS]):
            series += _means(results, arms, metric, name, color)
            legend.append(Key(name, "points", color))
        if results.scale_name == "paper":
            series += [
                one for i, arms in enumerate(curves.values()) for one in _paper(arms, metric, i)
            ]
        if not series:
            continue
        places = [x for one in series for x in one.x]
        wide = min(places) > 0 and max(places) / min(places) > _WIDE
        plot = Plot(
            title=metric_words(metric), x_label=results.study.x_label or "x", series=series,
            x_kind="log" if wide else "linear",
        )  # fmt: skip
        caption = "Points: means over seeds; whiskers: the least and the greatest of them."
        if results.scale_name == "paper":
            caption += " Dashed: the paper’s."
        yield dataclasses.replace(
            figure_of(f"{metric.removesuffix('_pct').replace('_', '-')}-by-x", plot, caption),
            legend=tuple(legend),
        )


def _means(
    results: StudyResults, arms: Sequence[Arm], metric: str, name: str, color: int
) -> list[Series]:
    rows = [(a.x or 0.0, list(results.values(a.name, metric).values())) for a in arms]
    rows = [row for row in rows if row[1]]
    if not rows:
        return []
    x, means = [r[0] for r in rows], [float(np.mean(r[1])) for r in rows]
    return [
        Series(label=name, x=x, y=means, style="thin", color=color),
        Series(
            label=name,
            x=x,
            y=means,
            low=[min(r[1]) for r in rows],
            high=[max(r[1]) for r in rows],
            style="points",
            color=color,
        ),
    ]


def _paper(arms: Sequence[Arm], metric: str, color: int) -> list[Series]:
    known = [(arm.x or 0.0, arm.paper[metric]) for arm in arms if metric in arm.paper]
    if len(known) < 2:
        return []
    x, y = [a for a, _ in known], [b for _, b in known]
    return [Series(label="paper", x=x, y=y, style="dashed", color=color % COLORS)]


def _by_arm(results: StudyResults, metric: str) -> Iterator[Figure]:
    """Draw every seed of every arm, where an arm has no number to be drawn over."""
    if all(
        len(curve) > 1 and None not in [a.x for a in curve] for curve in results.groups().values()
    ):
        return
    paper_too = results.scale_name == "paper"
    rows = []
    groups = list(results.groups())
    for arm in results.arms:
        values = tuple(results.values(arm.name, metric).values())
        if values or metric in arm.paper:
            rows.append(
                Dots(
                    label=arm.name,
                    values=values,
                    paper=arm.paper.get(metric) if paper_too else None,
                    color=groups.index(arm.group) % COLORS
                    if len(groups) < len(results.arms)
                    else 0,
                )
            )
    if not any(row.values for row in rows) or len(rows) < 2:
        return
    shown = [v for r in rows for v in (*r.values, *([r.paper] if r.paper else ()))]
    limits, wide = _limits(shown, range_of(metric))
    caption = "Each dot is a run, the line their mean."
    if wide:
        caption += " Logarithmic axis."
    if any(row.paper is not None for row in rows):
        caption += " Diamonds: the paper’s."
    yield Figure(
        name=f"{metric.removesuffix('_pct').replace('_', '-')}-by-arm",
        title=metric_words(metric),
        by="arm",
        caption=caption,
        body=DotRows(rows, limits, metric_words(metric), log=wide),
    )


def _limits(
    values: Sequence[float], within: tuple[float, float] | None
) -> tuple[tuple[float, float], bool]:
    """Return the ends of an axis, with air up to where values can be, and whether it is log."""
    low, high = min(values), max(values)
    wide = low > 0 and high / low > _WIDE
    if wide:
        first, last = low / 1.2, high * 1.2
    else:
        step = round_step(max(high - low, 0.5, 0.02 * abs(high)) / 4)
        first, last = math.floor(low / step - 0.3) * step, math.ceil(high / step + 0.3) * step
    if within is not None:
        first, last = max(first, min(low, within[0])), min(last, max(high, within[1]))
    return (first, last), wide


def _series(results: StudyResults) -> Iterator[Figure]:
    names = dict.fromkeys(name for outcome in results.outcomes for name in outcome.series)
    for name in names:
        for title, arms in panels(results):
            series = []
            for color, arm in enumerate(arms):
                lists = [o.series[name] for o in results.of(arm.name) if name in o.series]
                longest = max(map(len, lists), default=0)
                if longest:
                    mean = np.mean([v for v in lists if len(v) == longest], axis=0).tolist()
                    x = [float(i + 1) for i in range(longest)]
                    series.append(Series(label=arm.name, x=x, y=mean, color=color))
            if series:
                words = metric_words(name)
                heading = (
                    f"{title.capitalize()}: {words.lower()}"
                    if title and not title.isdigit()
                    else words
                )
                plot = Plot(title=heading, x_label="place in the network", series=series)
                stem = "-".join(filter(None, (name.replace("_", "-"), title.replace(" ", "-"))))
                yield figure_of(stem, plot, "Means over seeds.")
