"""The curves of a run: loss, error and other metrics, learning rate and throughput."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reslab.charts.plot import ERROR_TOPS, Plot, Series
from reslab.display import wording
from reslab.evaluate.metrics import METRICS, metrics_in
from reslab.runs.run import Floats, Run


def curves(run: Run) -> list[Plot]:
    """Return the plots for which the run holds at least one value."""
    marks = _resumes(run)
    plots = (
        _error(run, marks),
        _loss(run, marks),
        *(_metric(run, name, marks) for name in _other_metrics(run)),
        _rate(run, marks),
        _throughput(run),
    )
    return [plot for plot in plots if plot.series]


def _error(run: Run, marks: Sequence[tuple[float, str]]) -> Plot:
    series = _present(
        run,
        ("training", "train_error_pct", "thin", 0),
        ("validation", "val_error_pct", "bold", 0),
        ("validation, averaged weights", "ema_val_error_pct", "bold", 1),
        ("test", "test_error_pct", "bold", 3),
    )
    top, note = _cut(series)
    return Plot(
        title="Error, %",
        x_label="epoch",
        series=series,
        limits=(0.0, top),
        marks=marks,
        note=note,
    )


def _loss(run: Run, marks: Sequence[tuple[float, str]]) -> Plot:
    series = _present(
        run,
        ("training", "train_loss", "thin", 0),
        ("validation", "val_loss", "bold", 0),
        ("validation, averaged weights", "ema_val_loss", "bold", 1),
        ("test", "test_loss", "bold", 3),
    )
    values = [v for one in series for v in one.y if math.isfinite(v)]
    wide = bool(values) and min(values) > 0 and max(values) / min(values) > 5
    return Plot(
        title="Loss",
        x_label="epoch",
        series=series,
        kind="log" if wide else "linear",
        marks=marks,
        note="logarithmic axis" if wide else "",
    )


def _other_metrics(run: Run) -> list[str]:
    """Return the other metrics in a run's rows, whether or not they are registered here."""
    measured = [
        name.removeprefix(prefix)
        for name in run.results
        for prefix in ("val_", "ema_val_", "test_")
        if name.startswith(prefix)
    ]
    usual = [metric.name for metric in metrics_in("rows", by_name=True)]
    return [name for name in dict.fromkeys(measured) if name not in usual]


def _metric(run: Run, name: str, marks: Sequence[tuple[float, str]]) -> Plot:
    """Draw one of the other metrics by epoch."""
    series = _present(
        run,
        ("validation", f"val_{name}", "bold", 0),
        ("validation, averaged weights", f"ema_val_{name}", "bold", 1),
        ("test", f"test_{name}", "bold", 3),
    )
    unit = ", %" if name.endswith("_pct") else ""
    title = f"{name.removesuffix('_pct').replace('_', ' ').capitalize()}{unit}"
    if name in METRICS:
        title = METRICS[name].axis
    return Plot(title=title, x_label="epoch", series=series, marks=marks)


def _rate(run: Run, marks: Sequence[tuple[float, str]]) -> Plot:
    series = _present(run, ("at the end of each epoch", "lr", "bold", 2))
    return Plot(title="Learning rate", x_label="epoch", series=series, marks=marks, height=200)


def _throughput(run: Run) -> Plot:
    speed = throughput(run)
    places = sorted(speed)
    one = Series(label="training", x=places, y=[speed[p] for p in places], color=3)
    return Plot(
        title="Images per second", x_label="epoch", series=[one] if places else [], height=200
    )


def throughput(run: Run) -> dict[float, float]:
    """Return epoch -> images a second, as far as the log tells."""
    # An epoch that was cut short is in the log twice: the one that counts came last.
    return {
        float(event["epoch"]): float(event["images_per_s"])
        for event in run.events
        if event.get("event") == "epoch"
        and _is_number(event.get("images_per_s"))
        and _is_number(event.get("epoch"))
    }


def _present(run: Run, *wanted: tuple[str, str, str, int]) -> list[Series]:
    epochs = run.column("epoch")
    series = []
    for label, name, style, color in wanted:
        values = run.column(name)
        if np.isfinite(values).any():
            series.append(
                Series(
                    label=label,
                    x=epochs.tolist(),
                    y=values.tolist(),
                    style="thin" if style == "thin" else "bold",
                    color=color,
                )
            )
    return series


def _cut(series: Sequence[Series]) -> tuple[float, str]:
    """Choose the top of the error axis so that the end of the run can be read.

    The papers cut theirs too: an axis up to the first epoch's error shows nothing of the rest.
    """
    values = np.array([one.y for one in series], dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 100.0, ""
    highest = float(finite.max())
    late = values[:, values.shape[1] // 3 :]
    late = late[np.isfinite(late)]
    wanted = 1.3 * float(late.max()) if late.size else highest
    tops = [t for t in ERROR_TOPS if t >= wanted]
    top = float(tops[0]) if tops else 100.0
    if highest <= top * 1.25:
        return float(next((t for t in (1, 2, 5, 10, 20, 30, 50, 80) if t >= highest), 100)), ""
    return top, f"axis cut at {top:g}: the first epochs lie above, up to {highest:.3g}"


def _resumes(run: Run) -> list[tuple[float, str]]:
    """Return where the run went on after it had been stopped, in epochs."""
    epochs, steps = run.column("epoch"), run.column("step")
    places = []
    for event in run.events:
        step = event.get("step")
        if event.get("event") != "resume" or not _is_number(step) or not len(steps):
            continue
        if step:
            known = np.concatenate([[0.0], steps])
            place = float(np.interp(float(step), known, np.concatenate([[0.0], epochs])))
            places.append((place, "resumed"))
    return places


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def last_row(values: Floats) -> float:
    """Return the last number of a column, or NaN."""
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else math.nan


def summary(run: Run) -> str:
    """Say in one sentence how training went."""
    train, val, whose = run.column("train_error_pct"), run.column("ema_val_error_pct"), ""
    if np.isfinite(val).any():
        whose = " of the averaged weights"
    else:
        val = run.column("val_error_pct")
    parts = []
    if np.isfinite(train).any():
        parts.append(f"training error ended at {wording.number(last_row(train))}%")
    if np.isfinite(val).any():
        best = int(np.nanargmin(val))
        epoch = wording.number(float(run.column("epoch")[best]))
        parts.append(
            f"validation error{whose} at {wording.number(last_row(val))}% "
            f"(least {wording.number(float(val[best]))}% after epoch {epoch})"
        )
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
