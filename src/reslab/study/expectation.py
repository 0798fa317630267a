"""Expectations that can be tested: better than, rises with, does not rise with, fails.

"Better" is what the metric says (`evaluate.metrics`): lower for an error, higher for an accuracy.

Each decides by the 95% interval of Student's t over differences between runs of the same seed:
an expected difference is reproduced where the whole interval lies on its side of zero, not
reproduced where the whole interval lies on the other side of the smallest difference that would
count, and not decidable with so many seeds in between.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from reslab.errors import UsageError
from reslab.evaluate.metrics import higher_is_better
from reslab.study import statistics
from reslab.study.results import Outcome, StudyResults, Verdict
from reslab.study.statistics import Difference
from reslab.study.study import Arm

SMALLEST_PCT = 0.5
ALPHA = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ordered:
    """One arm is better than another: metric(worse) - metric(better) > 0, paired over seeds.

    Where higher is better it is metric(better) - metric(worse).

    Args:
        sentence: the expectation in words.
        better: name of the arm that should have the better metric.
        worse: name of the other.
        metric: what is compared; None for the study's.
        smallest: the smallest difference that would count, in units of the metric.
    """

    sentence: str
    better: str
    worse: str
    metric: str | None = None
    smallest: float = SMALLEST_PCT

    def test(self, results: StudyResults) -> Verdict:
        """Compare the two arms seed by seed."""
        metric = self.metric or results.study.metric
        low, high = self.better, self.worse
        if higher_is_better(metric):
            low, high = high, low
        found = statistics.paired(
            results.values(low, metric),
            results.values(high, metric),
            within=statistics.range_of_difference(metric),
        )
        if found is None:
            return _nothing(self.sentence)
        because = (
            f"{metric} of {high} minus {low}: {describe(found)}"
            f"{_spoilt(results, (self.better, self.worse))}"
        )
        return Verdict(
            expectation=self.sentence,
            outcome=positive(found, self.smallest),
            because=because,
            statistics=found.to_json(),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Best:
    """One arm is better than each of several others, with Holm's correction over the pairs.

    Args:
        sentence: the expectation in words.
        better: name of the arm that should have the best metric.
        others: names of the others.
        metric: what is compared; None for the study's.
        smallest: the smallest difference that would count, in units of the metric.
    """

    sentence: str
    better: str
    others: tuple[str, ...]
    metric: str | None = None
    smallest: float = SMALLEST_PCT

    def test(self, results: StudyResults) -> Verdict:
        """Compare the arm with each of the others."""
        metric = self.metric or results.study.metric
        # Where higher is better the signs are turned, so that a difference above zero is worse.
        turned = higher_is_better(metric)
        within = statistics.range_of_difference(metric)

        def values(arm: str) -> dict[int, float]:
            found = results.values(arm, metric)
            return {seed: -value for seed, value in found.items()} if turned else found

        best = values(self.better)
        tested = {
            other: statistics.paired(best, values(other), within=within) for other in self.others
        }
        found = {k: difference for k, difference in tested.items() if difference is not None}
        if len(found) < len(self.others):
            return _nothing(self.sentence)
        adjusted = _holm({k: d.p_t for k, d in found.items()})
        shown = {k: d for k, d in found.items() if d.mean > 0 and adjusted[k] < ALPHA}
        # That one of many pairs is less than `smallest` apart takes the same correction.
        short = {
            other: statistics.from_zero([value - self.smallest for value in apart])
            for other in self.others
            if (apart := statistics.differences(best, values(other)))
        }
        against = _holm({k: d.p_t if d.mean < 0 else 1.0 for k, d in short.items()})
        refuted = [k for k, p in against.items() if p < ALPHA]
        outcome: Outcome = "not decidable"
        if len(shown) == len(found):
            outcome = "reproduced"
        elif refuted:
            outcome = "not reproduced"
        listed = "; ".join(f"{k} {d.mean:+.2f} (p {adjusted[k]:.3f})" for k, d in found.items())
        because = (
            f"{metric} {'below' if turned else 'above'} {self.better}'s, p corrected for "
            f"{len(found)} pairs: {listed}"
            f"{_spoilt(results, (self.better, *self.others))}"
        )
        details = {k: {**d.to_json(), "p_holm": adjusted[k]} for k, d in found.items()}
        return Verdict(
            expectation=self.sentence, outcome=outcome, because=because, statistics=details
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RisesWith:
    """A metric rises along a curve: the trend over the arms of a group, by x, is above zero.

    The trend is the least-squares line of each seed over the rank of x; what is tested is how
    far it rises from the first arm to the last.

    Args:
        sentence: the expectation in words.
        group: the curve.
        metric: what rises; None for the study's.
        smallest: the smallest rise that would count, in units of the metric.
    """

    sentence: str
    group: str
    metric: str | None = None
    smallest: float = SMALLEST_PCT

    def test(self, results: StudyResults) -> Verdict:
        """Test the rise of each seed's line."""
        return _trend(self.sentence, results, self.group, self.metric, self.smallest, "rises")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FallsWith:
    """A metric falls along a curve; arguments and test as for `RisesWith`."""

    sentence: str
    group: str
    metric: str | None = None
    smallest: float = SMALLEST_PCT

    def test(self, results: StudyResults) -> Verdict:
        """Test the fall of each seed's line."""
        return _trend(self.sentence, results, self.group, self.metric, self.smallest, "falls")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoesNotRise:
    """A metric does not rise along a curve by more than a little.

    Reproduced where the whole interval of the rise lies below `smallest`; not reproduced where
    it lies above. Arguments as for `RisesWith`.
    """

    sentence: str
    group: str
    metric: str | None = None
    smallest: float = SMALLEST_PCT

    def test(self, results: StudyResults) -> Verdict:
        """Test that the rise of each seed's line stays below the smallest that counts."""
        return _trend(
            self.sentence, results, self.group, self.metric, self.smallest, "does not rise"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fails:
    """An arm diverges, or ends with an error that calls it a failure.

    Reproduced where every run fails, not reproduced where none does.

    Args:
        sentence: the expectation in words.
        arm: its name.
        metric: the error that is looked at; None for the study's.
        above_pct: errors above this are failures; None for nine tenths of chance.
        beside: name of an arm that learns; an error is then a failure only where it is also
            more than twice that arm's with the same seed, so that a schedule that is too short
            for every network makes none fail.
    """

    sentence: str
    arm: str
    metric: str | None = None
    above_pct: float | None = None
    beside: str | None = None

    def test(self, results: StudyResults) -> Verdict:
        """Count the runs that failed in this sense."""
        metric = self.metric or results.study.metric
        above = 0.9 * results.chance_error_pct if self.above_pct is None else self.above_pct
        values = results.values(self.arm, metric)
        beside = {} if self.beside is None else results.values(self.beside, metric)
        if self.beside is not None:
            values = {seed: value for seed, value in values.items() if seed in beside}
        if not values:
            return _nothing(self.sentence)
        failed = sum(
            value > max(above, 2 * beside.get(seed, 0.0)) for seed, value in values.items()
        )
        outcome: Outcome = "not decidable"
        if failed in (0, len(values)):
            outcome = "reproduced" if failed else "not reproduced"
        diverged = sum(outcome.status == "diverged" for outcome in results.of(self.arm))
        twice = "" if self.beside is None else f" and above twice that of {self.beside}"
        return Verdict(
            expectation=self.sentence,
            outcome=outcome,
            because=(
                f"{failed} of {len(values)} runs of {self.arm} end with {metric} above "
                f"{above:.1f}{twice} ({diverged} diverged)"
            ),
            statistics={"failed": failed, "diverged": diverged, "n": len(values)},
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """An expectation with a test of its own.

    Args:
        sentence: the expectation in words.
        judge: (results) -> outcome, the numbers that decided in words, and by name.
    """

    sentence: str
    judge: Callable[[StudyResults], tuple[Outcome, str, Mapping[str, Any]]]

    def test(self, results: StudyResults) -> Verdict:
        """Ask the function."""
        outcome, because, numbers = self.judge(results)
        return Verdict(
            expectation=self.sentence, outcome=outcome, because=because, statistics=numbers
        )


def _holm(p: Mapping[str, float]) -> dict[str, float]:
    """Return each pair's p, corrected for their number."""
    return dict(zip(p, statistics.holm(list(p.values())), strict=True))


def positive(found: Difference, smallest: float) -> Outcome:
    """Decide whether a difference is above zero, by its interval."""
    if found.low > 0:
        return "reproduced"
    return "not reproduced" if found.high < smallest else "not decidable"


def below(found: Difference, smallest: float) -> Outcome:
    """Decide whether a difference stays below a smallest one that counts, by its interval."""
    if found.high < smallest:
        return "reproduced"
    return "not reproduced" if found.low > smallest else "not decidable"


def rises(results: StudyResults, group: str, metric: str) -> dict[int, float]:
    """Return, for each seed with all arms, how far its line rises from the first x to the last.

    Raises:
        UsageError: the group has fewer than two arms with an x.
    """
    arms = curve(results, group)
    values = [results.values(arm.name, metric) for arm in arms]
    seeds = sorted(set.intersection(*(set(found) for found in values)))
    middle = (len(arms) - 1) / 2
    weights = [rank - middle for rank in range(len(arms))]
    scale = (len(arms) - 1) / sum(weight**2 for weight in weights)
    return {
        seed: scale * sum(w * found[seed] for w, found in zip(weights, values, strict=True))
        for seed in seeds
    }


def curve(results: StudyResults, group: str) -> list[Arm]:
    """Return the arms of a group by x.

    Raises:
        UsageError: there are fewer than two.
    """
    arms = [arm for arm in results.arms if arm.group == group and arm.x is not None]
    if len(arms) < 2:
        raise UsageError(f"group '{group}' has {len(arms)} arms with an x: a curve needs two")
    return sorted(arms, key=lambda arm: arm.x or 0.0)


def _trend(
    sentence: str,
    results: StudyResults,
    group: str,
    metric: str | None,
    smallest: float,
    claim: str,
) -> Verdict:
    name = metric or results.study.metric
    by_seed = rises(results, group, name)
    if not by_seed:
        return _nothing(sentence)
    sign = -1.0 if claim == "falls" else 1.0
    found = statistics.from_zero(
        [sign * rise for rise in by_seed.values()], within=statistics.range_of_difference(name)
    )
    arms = curve(results, group)
    judged = below if claim == "does not rise" else positive
    because = (
        f"{name} {'fall' if claim == 'falls' else 'rise'} from {arms[0].name} to "
        f"{arms[-1].name}, by the trend over {len(arms)} arms: {describe(found)}"
        f"{_spoilt(results, [arm.name for arm in arms])}"
    )
    return Verdict(
        expectation=sentence,
        outcome=judged(found, smallest),
        because=because,
        statistics={**found.to_json(), "smallest": smallest},
    )


def describe(found: Difference) -> str:
    """Put a difference into words: mean, interval, p, n."""
    if found.n == 1:
        return f"{found.mean:+.2f} (one seed: no interval)"
    if not math.isfinite(found.low):
        return f"{found.mean:+.2f} (all {found.n} alike: no interval, p {found.p_t:.2g})"
    return (
        f"{found.mean:+.2f} (95% interval {found.low:+.2f} to {found.high:+.2f}, "
        f"p {found.p_t:.2g}, n = {found.n})"
    )


def _spoilt(results: StudyResults, arms: tuple[str, ...] | list[str]) -> str:
    """Say how many runs diverged (and count as guessing) or have no numbers."""
    outcomes = [outcome for arm in arms for outcome in results.of(arm)]
    diverged = sum(outcome.status == "diverged" for outcome in outcomes)
    lost = sum(outcome.status in ("failed", "missing") for outcome in outcomes)
    parts = []
    if diverged:
        parts.append(f"{diverged} diverged runs count as guessing")
    if lost:
        parts.append(f"{lost} runs have no numbers")
    return f"; {', '.join(parts)}" if parts else ""


def _nothing(sentence: str) -> Verdict:
    return Verdict(expectation=sentence, outcome="not decidable", because="no runs to decide it by")
