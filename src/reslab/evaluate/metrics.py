"""The metrics: a number from an evaluation, with its name, its words, and which way is better.

A metric is a function; `metric` registers it:

>>> @metric("macro_recall_pct", words="macro recall", better="higher", unit="%")
... def macro_recall_pct(confusion):
...     support = confusion.sum(axis=1)
...     present = support > 0
...     return 100 * (confusion.diagonal()[present] / support[present]).mean()

What it needs are its parameters: any of `GIVEN`. From then on it stands in `reslab eval`'s table
and JSON, in each row of results.csv (``val_macro_recall_pct``) with a curve in the report, and in
studies, whose expectations know which way is better.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from reslab.errors import UsageError, nearest, unknown
from reslab.registry import Registry

if TYPE_CHECKING:
    from reslab.evaluate.evaluation import Evaluation

Better = Literal["higher", "lower"]
# Where a metric is shown: the table and JSON of `eval`, the rows of a training, studies.
Place = Literal["eval", "rows", "study"]
Compute = TypeVar("Compute", bound=Callable[..., Any])

# What a metric's function may have as parameters, of N images and C classes.
GIVEN: dict[str, Callable[[Evaluation], Any]] = {
    "evaluation": lambda evaluation: evaluation,
    "logits": lambda evaluation: evaluation.logits,  # float32 (N, C)
    "labels": lambda evaluation: evaluation.labels,  # int64 (N,)
    "samples": lambda evaluation: evaluation.samples,  # int64 (N,), numbers in the data set
    "classes": lambda evaluation: evaluation.classes,  # C names
    "predictions": lambda evaluation: evaluation.predictions,  # int64 (N,)
    "correct": lambda evaluation: evaluation.correct,  # bool (N,)
    "probabilities": lambda evaluation: evaluation.probabilities(),  # float64 (N, C), calibrated
    "confusion": lambda evaluation: evaluation.confusion,  # int64 (C, C), row true, column given
}


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number that an evaluation has.

    Args:
        name: of the column and in JSON; ends in "_pct" where it is a percentage.
        words: what it is called in tables.
        better: which way is better.
        unit: "%", "nats", or empty.
        limits: least and greatest value; intervals over seeds are cut to them.
        needs: parameters of the function, of `GIVEN`.
        places: where it is shown.
        compute: the function.
        built_in: whether it comes with reslab.
    """

    name: str
    words: str
    better: Better
    unit: str
    limits: tuple[float, float] | None
    needs: tuple[str, ...]
    places: frozenset[Place]
    compute: Callable[..., Any] = dataclasses.field(repr=False)
    built_in: bool = False

    def __call__(self, evaluation: Evaluation) -> float:
        """Compute it."""
        return float(self.compute(**{name: GIVEN[name](evaluation) for name in self.needs}))

    @property
    def by_name(self) -> bool:
        """Whether JSON, card, curves and studies write it out by name; the others they look up."""
        return self.name in _BY_NAME

    @property
    def heading(self) -> str:
        """What stands above its column: words and unit."""
        return f"{self.words} {self.unit}".rstrip()

    @property
    def axis(self) -> str:
        """What stands beside an axis: "Macro recall, %"."""
        text = f"{self.words}, {self.unit}" if self.unit else self.words
        return text[:1].upper() + text[1:]


METRICS: Registry[Metric] = Registry("metric")
_BY_NAME = frozenset(("loss", "error_pct", "accuracy_pct", "top5_pct", "ece_pct"))
_EVERYWHERE: tuple[Place, ...] = ("eval", "rows", "study")


def metric(
    name: str,
    *,
    words: str,
    better: Better,
    unit: str = "",
    limits: tuple[float, float] | None = None,
    places: Sequence[Place] = _EVERYWHERE,
) -> Callable[[Compute], Compute]:
    """Register the function below as a metric; a user's later one of the same name replaces it.

    Args:
        name: a word of lower-case letters, digits and "_"; percentages end in "_pct".
        words: what it is called in tables.
        better: "higher" or "lower".
        unit: "%", "nats", or empty.
        limits: least and greatest value, e.g. (0, 100); None for any.
        places: where it is shown: "eval", "rows", "study".

    Raises:
        UsageError: the name is no such word or is one of reslab's own, or the function needs
            something that is not in `GIVEN`.
    """

    def register(compute: Compute) -> Compute:
        needs = tuple(inspect.signature(compute).parameters)
        for need in needs:
            if need not in GIVEN:
                raise UsageError(
                    f"metric '{name}' needs '{need}', which is not known "
                    f"(known: {', '.join(GIVEN)})",
                    remedy=nearest(need, GIVEN),
                )
        built_in = compute.__module__ == __name__
        known = name in METRICS
        if not (name.isidentifier() and name.islower()):
            raise UsageError(f"metric '{name}' must be a word of lower-case letters, digits and _")
        if known and (built_in or METRICS[name].built_in):
            raise UsageError(f"metric '{name}' is one of reslab's own", remedy="name it otherwise")
        for place in places:
            if place not in _EVERYWHERE:
                raise unknown(f"place of metric '{name}'", place, _EVERYWHERE)
        if better not in ("higher", "lower"):
            raise UsageError(f"metric '{name}': better must be higher or lower, not '{better}'")
        value = Metric(
            name, words, better, unit, limits, needs, frozenset(places), compute, built_in
        )
        METRICS.replace(name, value)
        return compute

    return register


def metrics_in(place: Place, *, by_name: bool | None = None) -> list[Metric]:
    """Return the metrics that are shown somewhere, in the order of registration.

    Args:
        place: where.
        by_name: only those that are written out by name (True), or only the others (False).
    """
    found = [METRICS[name] for name in METRICS]
    return [one for one in found if place in one.places and by_name in (None, one.by_name)]


def columns_of(evaluation: Evaluation, prefix: str, place: Place) -> dict[str, float]:
    """Return the columns that an evaluation fills: ``{"val_loss": ..., "val_error_pct": ...}``."""
    return {f"{prefix}_{one.name}": one(evaluation) for one in metrics_in(place)}


def metric_of(column: str) -> Metric | None:
    """Return the metric that a column or a study's number shows: "val_error_pct" is an error."""
    fitting = [name for name in METRICS if column == name or column.endswith(f"_{name}")]
    return METRICS[max(fitting, key=len)] if fitting else None


def higher_is_better(column: str) -> bool:
    """Tell which way a column or a study's number is better; lower where nobody knows."""
    found = metric_of(column)
    return found is not None and found.better == "higher"


def finite_or_none(value: float) -> float | None:
    """Return what JSON can hold."""
    return value if math.isfinite(value) else None


_PERCENT = (0.0, 100.0)


@metric("loss", words="loss", better="lower", unit="nats", places=("rows", "study"))
def _loss(evaluation: Evaluation) -> float:
    return evaluation.nll(1.0)  # of the logits as they are, as training sees it


@metric("error_pct", words="error", better="lower", unit="%", limits=_PERCENT,
        places=("rows", "study"))  # fmt: skip
def _error_pct(evaluation: Evaluation) -> float:
    return 100.0 - evaluation.accuracy_pct


@metric("accuracy_pct", words="accuracy", better="higher", unit="%", limits=_PERCENT,
        places=("eval",))  # fmt: skip
def _accuracy_pct(evaluation: Evaluation) -> float:
    return evaluation.accuracy_pct


@metric("top5_pct", words="top-5", better="higher", unit="%", limits=_PERCENT,
        places=("eval",))  # fmt: skip
def _top5_pct(evaluation: Evaluation) -> float:
    return evaluation.top5_pct


@metric("ece_pct", words="ECE", better="lower", unit="%", limits=_PERCENT,
        places=("eval",))  # fmt: skip
def _ece_pct(evaluation: Evaluation) -> float:
    return evaluation.ece_pct
