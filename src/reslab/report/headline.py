"""The first thing a reader sees: what was reached, how sure that is, or why there is nothing."""

from __future__ import annotations

import dataclasses
import math
import shlex

from reslab.charts.axis import Axis, round_step
from reslab.display import wording
from reslab.display.wording import SPLIT_WORDS
from reslab.report.curves import last_row
from reslab.runs.run import Run


@dataclasses.dataclass(frozen=True)
class Interval:
    """A percentage with its 95% interval on an axis that shows both.

    Args:
        value: x of the percentage, in a drawing 640 wide.
        low: x of the lower end.
        high: x of the upper end.
        ticks: (x, label) of the axis.
    """

    value: float
    low: float
    high: float
    ticks: list[tuple[float, str]]


@dataclasses.dataclass(frozen=True)
class Headline:
    """What was reached.

    Args:
        network: its name.
        data: name of the data set.
        number: the main percentage as text, or empty.
        meaning: what the number is.
        detail: what it rests on.
        interval: its interval, or None.
        notice: why the run is not finished, or empty.
        remedy: how to go on, or empty.
    """

    network: str
    data: str
    number: str
    meaning: str
    detail: str
    interval: Interval | None
    notice: str
    remedy: str


def headline(run: Run) -> Headline:
    """Choose the best number there is: test, else validation, else the last epoch's."""
    number, meaning, detail, interval = _reached(run)
    notice, remedy = _notice(run)
    return Headline(
        network=str(run.section("spec").get("name", "network")),
        data=str(run.section("dataset").get("name", run.config.get("data", "data"))),
        number=number,
        meaning=meaning,
        detail=detail,
        interval=interval,
        notice=notice,
        remedy=remedy,
    )


def _reached(run: Run) -> tuple[str, str, str, Interval | None]:
    evaluation = run.splits.get(run.final_split)
    if evaluation is not None:
        count = len(evaluation)
        low, high = evaluation.ci95_pct
        right = int(evaluation.correct.sum())
        return (
            wording.percent(evaluation.accuracy_pct, count),
            f"{SPLIT_WORDS[run.final_split]} accuracy",
            f"{right:,} of {count:,} images right; 95% interval "
            f"{wording.percent(low, count)} to {wording.percent(high, count)}%",
            _interval(evaluation.accuracy_pct, low, high),
        )
    for name, words in (("val_error_pct", "validation"), ("train_error_pct", "training")):
        error = last_row(run.column(name))
        if math.isfinite(error):
            epoch = wording.number(last_row(run.column("epoch")))
            return (
                wording.percent(100 - error),
                f"{words} accuracy so far",
                f"after epoch {epoch}; the run has not been evaluated",
                None,
            )
    return "", "No epoch was finished, so there is nothing to measure yet.", "", None


def _interval(value: float, low: float, high: float) -> Interval:
    span = max(high - low, 1.0)
    step = round_step(span / 2)
    first = max(0.0, math.floor((low - step / 2) / step) * step)
    last = min(100.0, math.ceil((high + step / 2) / step) * step)
    x = Axis(first, last, 24, 616)
    ticks = [(round(x(tick), 1), f"{tick:g}%") for tick in x.ticks(4)]
    return Interval(round(x(value), 1), round(x(low), 1), round(x(high), 1), ticks)


def _notice(run: Run) -> tuple[str, str]:
    if run.state == "finished":
        return "", ""
    step, total = run.status.get("step"), run.status.get("total_steps")
    where = f" at update {step:,} of {total:,}" if step is not None and total else ""
    said = {
        "running": f"Still running{where} when this page was written.",
        "diverged": f"Diverged{where}: loss or weights were no longer finite.",
    }.get(run.state, f"{run.state.capitalize()}{where}.")
    message = str(run.status.get("message") or "").strip()
    if message:
        said += f" {message[:1].upper()}{message[1:]}{'' if message.endswith('.') else '.'}"
    if run.state == "diverged" or "--resume" in message:
        return said, ""
    return said, f"reslab train --resume {shlex.quote(str(run.folder))}"
