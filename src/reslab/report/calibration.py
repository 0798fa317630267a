"""Whether probabilities can be trusted: reliability before and after temperature scaling."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from markupsafe import Markup

from reslab.charts.plot import Plot, Series, draw
from reslab.display import wording
from reslab.display.short import short_repr
from reslab.evaluate.evaluation import Evaluation, ReliabilityBin, fit_temperature
from reslab.evaluate.statistics import wilson_pct
from reslab.runs.run import Run

_SIDE = 330


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy at one temperature.

    Args:
        title: which temperature.
        ece_pct: expected calibration error.
        svg: the diagram.
        bins: the numbers behind it, without empty bins.
    """

    title: str
    ece_pct: float
    svg: Markup
    bins: Sequence[ReliabilityBin]

    __repr__ = short_repr


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Reliability of the raw probabilities and of the tempered ones.

    Args:
        before: as the network puts them out.
        after: divided by the temperature.
        temperature: that number.
        origin: where it comes from, as a sentence.
        sentence: the main finding.
    """

    before: Reliability
    after: Reliability
    temperature: float
    origin: str
    sentence: str


def calibration(run: Run, evaluation: Evaluation, split: str) -> Calibration:
    """Compare confidence and accuracy at T = 1 and at the temperature of the model."""
    temperature, origin = _temperature(run, evaluation, split)
    before = _reliability(evaluation, 1.0, "As the network puts them out")
    after = _reliability(evaluation, temperature, f"Logits divided by {temperature:.2f}")
    mean = 100 * float(evaluation.probabilities(1.0).max(axis=1).mean())
    low, high = evaluation.ci95_pct
    if low <= mean <= high:
        manner = "On average, confidence and accuracy agree as far as these images can tell"
    else:
        manner = f"The network is {'over' if mean > high else 'under'}confident"
    sentence = (
        f"{manner}: it is {wording.percent(mean)}% sure and "
        f"{wording.percent(evaluation.accuracy_pct)}% right. The expected calibration error is "
        f"{before.ece_pct:.1f}% as it is and {after.ece_pct:.1f}% with temperature scaling."
    )
    return Calibration(before, after, temperature, origin, sentence)


def _temperature(run: Run, evaluation: Evaluation, split: str) -> tuple[float, str]:
    apart = split == "test" and "val" in run.splits
    fitted = run.splits["val"] if apart else evaluation
    temperature = run.temperature or fit_temperature(fitted.logits, fitted.labels)
    origin = "The temperature was fitted to the validation images, not to these."
    if not apart:
        origin = (
            "There was no other split to fit the temperature to, so it was fitted to these same "
            "images: the second figure is optimistic."
        )
    if run.temperature:
        origin += " The saved model applies it to what it predicts."
    return temperature, origin


def _reliability(evaluation: Evaluation, temperature: float, title: str) -> Reliability:
    tempered = dataclasses.replace(evaluation, temperature=temperature)
    bins = [one for one in tempered.reliability() if one.count]
    intervals = [wilson_pct(round(one.accuracy * one.count), one.count) for one in bins]
    most = max(one.count for one in bins)
    series = Series(
        label="accuracy",
        x=[100 * one.confidence for one in bins],
        y=[100 * one.accuracy for one in bins],
        low=[low for low, _ in intervals],
        high=[high for _, high in intervals],
        style="points",
        sizes=[round(2.5 + 5.5 * math.sqrt(one.count / most), 1) for one in bins],
    )
    plot = Plot(
        title="Accuracy, %",
        x_label="confidence, %",
        series=[series],
        limits=(0.0, 100.0),
        x_limits=(0.0, 100.0),
        diagonal=True,
        width=_SIDE,
        height=_SIDE - 40,
    )
    return Reliability(title, tempered.ece_pct, draw(plot), bins)
