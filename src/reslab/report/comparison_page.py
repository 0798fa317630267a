"""The offline page of a comparison: curves over each other, tests, cost against error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from reslab import durable
from reslab.charts.figure import Figure, figure_of
from reslab.charts.plot import COLORS, Plot, Series, error_top
from reslab.display.wording import SPLIT_WORDS
from reslab.pages.standalone import standalone
from reslab.report.comparison import Comparison, Entry, finding, p_value
from reslab.runs.run import Floats

HELD_OUT = (
    ("test_error_pct", "test"),
    ("ema_val_error_pct", "validation"),
    ("val_error_pct", "validation"),
)


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the page of a comparison.

    Raises:
        MachineError: it cannot be written.
    """
    text = standalone(
        "comparison.html",
        comparison=comparison,
        finding=finding(comparison),
        curves=[_figure(plot) for plot in curves(comparison.entries)],
        costs=[_figure(plot) for plot in costs(comparison.entries)],
        colors=colors(comparison.entries),
        splits=SPLIT_WORDS,
        p_value=p_value,
    )
    durable.write_file(path, text.encode("utf-8", "surrogateescape"))


def _figure(plot: Plot) -> Figure:
    return figure_of(f"{plot.title} by {plot.x_label}", plot)


def colors(entries: Sequence[Entry]) -> list[int]:
    """Give each run a color; of more runs than colors, those of one network share one."""
    if len(entries) <= COLORS:
        return list(range(len(entries)))
    names = [str(entry.run.section("spec").get("name")) for entry in entries]
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return [place[name] % COLORS for name in names]


def curves(entries: Sequence[Entry]) -> list[Plot]:
    """Return error by epoch, error by time and loss by epoch, where the runs hold values."""
    column, words = _held_out(entries)
    by_epoch = _lines(entries, column, lambda entry: entry.run.column("epoch"), words)
    by_time = _lines(entries, column, _seconds, words)
    loss = column.replace("error_pct", "loss")
    losses = _lines(entries, loss, lambda entry: entry.run.column("epoch"), words, "train_loss")
    top = error_top(by_epoch)
    highest = max((v for one in by_epoch for v in one.y if math.isfinite(v)), default=0.0)
    note = f"; axis cut at {top:g}, the first epochs lie above" if highest > top else ""
    thin = f"thin: training, bold: {words}"
    plots = [
        Plot(
            title="Error, %", x_label="epoch", series=by_epoch, limits=(0.0, top),
            note=f"{thin}{note}",
        ),
        Plot(
            title="Error, %", x_label="seconds", series=by_time, limits=(0.0, top),
            note=f"{thin}{note}",
        ),
        Plot(title="Loss", x_label="epoch", series=losses, note=thin),
    ]  # fmt: skip
    return [plot for plot in plots if plot.series]


def _held_out(entries: Sequence[Entry]) -> tuple[str, str]:
    """Choose the column that most runs hold: the test where all do, as in the papers."""

    def holding(name: str) -> int:
        return sum(bool(np.isfinite(entry.run.column(name)).any()) for entry in entries)

    name, words = max(HELD_OUT, key=lambda one: holding(one[0]))
    return name, words


def _lines(
    entries: Sequence[Entry],
    column: str,
    places: Callable[[Entry], Floats],
    words: str,
    training: str = "train_error_pct",
) -> list[Series]:
    wanted = ((training, "thin", "training"), (column, "bold", words))
    series = []
    for entry, color in zip(entries, colors(entries), strict=True):
        x = places(entry)
        for name, style, what in wanted:
            y = entry.run.column(name)
            if np.isfinite(y).any() and np.isfinite(x).all():
                series.append(
                    Series(
                        label=f"{entry.name}, {what}",
                        x=x.tolist(),
                        y=y.tolist(),
                        style="thin" if style == "thin" else "bold",
                        color=color,
                    )
                )
    return series


def _seconds(entry: Entry) -> Floats:
    """Return the time at the end of each epoch, seconds; NaN where the log does not tell."""
    known = {
        float(event["epoch"]): float(event["elapsed_s"])
        for event in entry.run.events
        if event.get("event") == "epoch" and "elapsed_s" in event and "epoch" in event
    }
    return np.array([known.get(float(epoch), math.nan) for epoch in entry.run.column("epoch")])


def costs(entries: Sequence[Entry]) -> list[Plot]:
    """Return error against what it costs: parameters, multiply-adds, time of training."""
    kinds: tuple[tuple[str, str, Callable[[Entry], float | None]], ...] = (
        ("parameters", "parameters", lambda entry: entry.cost("params")),
        ("multiply-adds an image", "multiply-adds", lambda entry: entry.cost("macs")),
        ("training time, seconds", "seconds", lambda entry: entry.wall_s),
    )
    plots = []
    for title, label, cost in kinds:
        series = []
        for entry, color in zip(entries, colors(entries), strict=True):
            value, found = cost(entry), entry.evaluation
            if value and found is not None:
                low, high = found.ci95_pct
                series.append(
                    Series(
                        label=entry.name, x=[value], y=[100 - found.accuracy_pct],
                        low=[100 - high], high=[100 - low], style="points", color=color,
                        sizes=[5.0],
                    )
                )  # fmt: skip
        if len(series) > 1:
            places = [one.x[0] for one in series]
            plots.append(
                Plot(
                    title="Error, %", x_label=title, series=series, x_kind="log",
                    height=230, width=340,
                    x_limits=(min(places) / 1.3, max(places) * 1.3),
                    note=f"whiskers: 95% intervals; {label} on a logarithmic axis",
                )
            )  # fmt: skip
    return plots
