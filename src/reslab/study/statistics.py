"""Numbers over seeds: spread, intervals, paired tests, effect sizes, corrections."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from reslab.evaluate.metrics import metric_of
from reslab.evaluate.statistics import holm as holm

Floats = npt.NDArray[np.float64]
Range = tuple[float, float]

RESAMPLES = 10_000
ALIKE = 1e-9  # relative spread: differences that rounding alone tells apart
MOST_EXACT = 14  # 2^14 sign patterns are counted one by one; above that they are drawn


@dataclasses.dataclass(frozen=True)
class Summary:
    """How one number varies over seeds.

    Args:
        n: seeds.
        mean: their mean.
        sd: standard deviation (n - 1); None for one seed.
        median: their median.
        low: the lower end of the 95% interval of the mean by Student's t, cut to what the number
            can be; None for one seed.
        high: the upper end.
    """

    n: int
    mean: float
    sd: float | None
    median: float
    low: float | None
    high: float | None


def range_of(metric: str) -> Range | None:
    """Return what a metric can be: 0 to 100 for an error or an accuracy; None for anything."""
    known = metric_of(metric)
    return None if known is None else known.limits


def range_of_difference(metric: str) -> Range | None:
    """Return what the difference of two values of a metric can be; None for anything."""
    return None if (found := range_of(metric)) is None else (found[0] - found[1], found[1])


def summarize(values: Sequence[float], *, within: Range | None = None) -> Summary:
    """Return mean ± sd, median and the 95% interval of the mean by Student's t.

    Args:
        values: one a seed.
        within: what the number can be, as `range_of` says; the interval is cut to it.
    """
    assert len(values) > 0
    sample = np.asarray(values, dtype=np.float64)
    alone = len(sample) == 1
    low, high = (None, None) if alone else student(sample, within=within)
    return Summary(
        n=len(sample),
        mean=float(sample.mean()),
        sd=None if alone else float(sample.std(ddof=1)),
        median=float(np.median(sample)),
        low=low,
        high=high,
    )


def student(
    values: Sequence[float] | Floats, *, within: Range | None = None
) -> tuple[float, float]:
    """Return the 95% interval of the mean of two values or more, by Student's t.

    Near an end of `within` the t interval of few seeds reaches beyond it, where the mean cannot
    be. Cutting off that part leaves the coverage as it is; no other point is added or taken away.
    """
    from scipy import stats

    sample = np.asarray(values, dtype=np.float64)
    count, mean = len(sample), float(sample.mean())
    error = float(sample.std(ddof=1)) / math.sqrt(count)
    half = float(stats.t.ppf(0.975, count - 1)) * error
    low, high = mean - half, mean + half
    if within is None:
        return low, high
    # A value beyond the range, as a fitted line can reach, widens it: the interval holds the mean.
    least, most = min(within[0], float(sample.min())), max(within[1], float(sample.max()))
    return max(low, least), min(high, most)


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far paired differences are from zero.

    Args:
        n: pairs, one a seed.
        mean: of the differences.
        low: the lower end of the 95% interval by Student's t; minus infinity for one pair, and
            where so few differences are all alike that the sign-flip test allows chance.
        high: the upper end.
        p_t: two-sided p of the paired t-test; 1 for one pair; of the sign flips where all
            differences are alike, for then they say nothing of their spread.
        p_wilcoxon: of Wilcoxon's signed ranks, exact.
        p_sign_flip: share of sign patterns with a mean at least as far from zero.
        hedges_g: mean / sd of the differences, corrected for few pairs; None where the sd is 0
            or unknown.
    """

    n: int
    mean: float
    low: float
    high: float
    p_t: float
    p_wilcoxon: float
    p_sign_flip: float
    hedges_g: float | None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; what is infinite becomes None."""
        fields = dataclasses.asdict(self)
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in fields.items()
        }


def paired(
    first: Mapping[int, float], second: Mapping[int, float], *, within: Range | None = None
) -> Difference | None:
    """Test second - first over the seeds that both have; None where they share none.

    Runs of one seed see the same images in the same order, which pairing takes out. `within` is
    what a difference can be, as `range_of_difference` says.
    """
    found = differences(first, second)
    return from_zero(found, within=within) if found else None


def differences(first: Mapping[int, float], second: Mapping[int, float]) -> list[float]:
    """Return second - first for each seed that both have, in the order of the seeds."""
    return [second[seed] - first[seed] for seed in sorted(first.keys() & second.keys())]


def from_zero(
    differences: Sequence[float], *, seed: int = 0, within: Range | None = None
) -> Difference:
    """Test whether paired differences have the mean zero, in several ways.

    The interval is cut to `within`, what a difference can be. No end of it crosses zero by that,
    so that it agrees with the t-test as before.

    With n pairs no sign-flip p lies below 2 / 2^n: three seeds cannot come under 0.25, six can
    come under 0.05. The t-test buys more from few pairs with its assumption of normality.

    Source:
        Student 1908; Wilcoxon 1945; Fisher 1935, section 21 (sign flips); Hedges 1981.
    """
    from scipy import stats

    sample = np.asarray(differences, dtype=np.float64)
    count, mean = len(sample), float(sample.mean())
    spread = float(sample.std(ddof=1)) if count > 1 else math.nan
    if count == 1:
        low, high, p_t = -math.inf, math.inf, 1.0
    elif spread <= ALIKE * abs(mean):
        # Errors are counts of few images, so seeds can differ by the very same number; t would
        # be infinite then, as if one pair proved everything.
        p_t = sign_flip(sample)
        chance = mean != 0.0 and p_t >= 0.05
        low, high = (-math.inf, math.inf) if chance else (mean, mean)
    else:
        low, high = student(sample, within=within)
        p_t = float(2 * stats.t.sf(abs(mean) / spread * math.sqrt(count), count - 1))
    return Difference(
        n=count,
        mean=mean,
        low=low,
        high=high,
        p_t=p_t,
        p_wilcoxon=_wilcoxon(sample),
        p_sign_flip=sign_flip(sample, seed=seed),
        hedges_g=_hedges(mean, spread, count),
    )


def sign_flip(differences: Sequence[float] | Floats, *, seed: int = 0) -> float:
    """Return the share of sign patterns whose mean is at least as far from zero, two-sided.

    All 2^n patterns are counted for few pairs, as `scipy.stats.permutation_test` does; many are
    drawn.
    """
    sample = np.asarray(differences, dtype=np.float64)
    if len(sample) <= MOST_EXACT:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(sample))))
        extra = 0
    else:
        draw = np.random.default_rng(seed)
        signs = draw.choice((1.0, -1.0), size=(RESAMPLES, len(sample)))
        extra = 1  # the observed pattern itself: without it p could be 0, which no test may say
    sums = np.abs(signs @ sample)
    observed = abs(float(sample.sum()))
    # Patterns that tie with the observed one differ from it by rounding, and count as well.
    as_far = int((sums >= observed * (1 - 1e-12)).sum())
    return (as_far + extra) / (len(signs) + extra)


def _wilcoxon(sample: Floats) -> float:
    """Return the exact two-sided p of the signed ranks; differences of zero are left out."""
    from scipy import stats

    kept = sample[sample != 0]
    if len(kept) == 0:
        return 1.0
    # Over all sign patterns of the ranks: scipy's exact form knows no ties.
    return sign_flip(np.sign(kept) * stats.rankdata(np.abs(kept)))


def _hedges(mean: float, spread: float, count: int) -> float | None:
    if count < 2 or spread <= ALIKE * abs(mean):
        return None
    freedom = count - 1
    # Hedges' exact correction: for 2 degrees of freedom the usual 1 - 3 / (4 df - 1) is 0.571.
    exact = (
        math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)) / math.sqrt(freedom / 2)
        if freedom > 1
        else math.nan
    )
    return mean / spread * exact if freedom > 1 else None
