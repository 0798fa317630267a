"""Two models on the same images, and several models together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from reslab.evaluate.evaluation import Evaluation

RESAMPLES = 10_000


@dataclasses.dataclass(frozen=True)
class Paired:
    """How two models differ on the images that both have seen.

    Args:
        only_first: images that only the first model got right.
        only_second: images that only the second got right.
        num_images: all images.
        difference_pct: accuracy of the second minus that of the first, percentage points.
        ci95_pct: its 95% interval by the paired bootstrap.
        p_exact: McNemar's exact test of "no difference".
        p_mid: the same with half of the observed outcome's probability (less conservative).
    """

    only_first: int
    only_second: int
    num_images: int
    difference_pct: float
    ci95_pct: tuple[float, float]
    p_exact: float
    p_mid: float

    def _repr_html_(self) -> str:
        from reslab.evaluate.card import paired_card

        return paired_card(self)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**dataclasses.asdict(self), "ci95_pct": list(self.ci95_pct)}


def compare(first: Evaluation, second: Evaluation, *, seed: int = 0) -> Paired:
    """Test whether two models differ in accuracy on the same images.

    Images that both get right, or both wrong, say nothing of the difference; pairing takes
    them out, so that far smaller differences show than by two separate intervals.

    Source:
        McNemar 1947; Fagerland et al. 2013, BMC Med. Res. Methodol. 13:91 (mid-p).
    """
    _assert_same_images([first, second])
    one, two = first.correct, second.correct
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    p_exact, p_mid = mcnemar(only_first, only_second)
    return Paired(
        only_first=only_first,
        only_second=only_second,
        num_images=len(first),
        difference_pct=100.0 * (only_second - only_first) / len(first),
        ci95_pct=_bootstrap(only_first, only_second, len(first), seed),
        p_exact=p_exact,
        p_mid=p_mid,
    )


def mcnemar(only_first: int, only_second: int) -> tuple[float, float]:
    """Return the two-sided exact and mid-p values for discordant counts.

    Under "no difference" the smaller count follows a binomial with probability one half.
    """
    count, least = only_first + only_second, min(only_first, only_second)
    if count == 0:
        return 1.0, 1.0
    from scipy import stats  # takes a second to import

    tail = float(stats.binom.cdf(least, count, 0.5))
    # Mid-p counts half of the observed outcome in each tail: the exact test is conservative,
    # because so few outcomes are possible.
    point = float(stats.binom.pmf(least, count, 0.5))
    return min(1.0, 2 * tail), min(1.0, 2 * tail - point)


def _bootstrap(only_first: int, only_second: int, count: int, seed: int) -> tuple[float, float]:
    """Draw images with replacement; only the four kinds of image count."""
    draw = np.random.default_rng(seed)
    shares = np.array([only_first, only_second, count - only_first - only_second]) / count
    drawn = draw.multinomial(count, shares, size=RESAMPLES)
    differences = 100.0 * (drawn[:, 1] - drawn[:, 0]) / count
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def together(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Average the probabilities of several evaluations of the same images (an ensemble).

    Returns:
        An evaluation whose logits are the logarithm of the mean, at temperature 1.
    """
    _assert_same_images(evaluations)
    first = evaluations[0]
    mean: npt.NDArray[np.float64] = np.mean([e.probabilities() for e in evaluations], axis=0)
    tiny = np.finfo(np.float32).tiny
    return dataclasses.replace(
        first, logits=np.log(np.maximum(mean, tiny)).astype(np.float32), temperature=1.0
    )


def reorder_classes(evaluation: Evaluation, classes: tuple[str, ...]) -> Evaluation:
    """Return the same evaluation with its classes in another order."""
    assert set(classes) == set(evaluation.classes)
    place = {label: i for i, label in enumerate(evaluation.classes)}
    order = np.array([place[label] for label in classes])
    return dataclasses.replace(
        evaluation,
        logits=evaluation.logits[:, order],
        labels=np.argsort(order)[evaluation.labels],
        classes=classes,
    )


def _assert_same_images(evaluations: Sequence[Evaluation]) -> None:
    first = evaluations[0]
    for other in evaluations[1:]:
        assert other.classes == first.classes
        assert np.array_equal(other.samples, first.samples)
        assert np.array_equal(other.labels, first.labels)
