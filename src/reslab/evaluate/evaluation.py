"""What a network said about some images, and the numbers that follow; numpy only."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from reslab.display import short
from reslab.errors import DataError, DivergedError
from reslab.evaluate.metrics import finite_or_none, metrics_in
from reslab.evaluate.statistics import Floats, Integers, log_sum_exp, softmax, wilson_pct

NUM_BINS = 15
_COLDEST, _HOTTEST = 0.05, 20.0


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """How one class fares; None where a number has no meaning (nothing to divide by).

    Args:
        label: class name.
        precision_pct: how many of the images given this label have it.
        recall_pct: how many of the images with this label were given it.
        f1_pct: harmonic mean of the two.
        support: images with this label.
    """

    label: str
    precision_pct: float | None
    recall_pct: float | None
    f1_pct: float | None
    support: int


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """Images whose highest probability lies in (low, high].

    Args:
        low: lower end, in [0, 1].
        high: upper end.
        count: how many there are.
        confidence: their mean highest probability; 0 for an empty bin.
        accuracy: the share that is right; 0 for an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network said about N images, and what follows from it.

    Args:
        logits: float32, (N, C); the logarithm of averaged probabilities for ensembles.
        labels: int64, (N,).
        samples: int64, (N,), the number of each image in its data set.
        classes: class names in the order of the logits.
        temperature: what the logits are divided by for probabilities.

    Raises:
        DataError: there are no images.
        DivergedError: a logit is not finite.
    """

    logits: npt.NDArray[np.float32]
    labels: Integers
    samples: Integers
    classes: tuple[str, ...]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        count = len(self.labels)
        assert self.logits.shape == (count, len(self.classes)), self.logits.shape
        assert self.samples.shape == self.labels.shape == (count,)
        if not count:
            raise DataError("there are no images to evaluate")
        assert 0 <= self.labels.min() <= self.labels.max() < len(self.classes)
        finite = np.isfinite(self.logits).all(axis=1)
        if not finite.all():
            raise DivergedError(
                f"the network puts out NaN or infinite values for {count - finite.sum()} of "
                f"{count} images",
                remedy="use an earlier checkpoint, or fp32 instead of a shorter precision",
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        low, high = self.ci95_pct
        return short.lines(
            f"Evaluation({self.accuracy_pct:.2f}% of {len(self):,} images right, 95% interval "
            f"{low:.2f} to {high:.2f}, top-{self.top_k} {self.top5_pct:.2f}%, calibration error "
            f"{self.ece_pct:.2f}%, {len(self.classes):,} classes: {short.named(self.classes)})"
        )

    def _repr_html_(self) -> str:
        from reslab.evaluate.card import evaluation_card

        return evaluation_card(self)

    @property
    def predictions(self) -> Integers:
        """The class with the highest logit, (N,); the first of several equal ones."""
        return cast(Integers, self.logits.argmax(axis=1))

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each image got its label, (N,)."""
        return np.equal(self.predictions, self.labels)

    @property
    def accuracy_pct(self) -> float:
        """Share of images that got their label (top-1)."""
        return 100.0 * int(self.correct.sum()) / len(self)

    @property
    def ci95_pct(self) -> tuple[float, float]:
        """The accuracy's 95% confidence interval; see `wilson_pct`."""
        return wilson_pct(int(self.correct.sum()), len(self))

    @property
    def top_k(self) -> int:
        """How many guesses "top-5" allows: five, or as many as there are classes."""
        return min(5, len(self.classes))

    @property
    def top5_pct(self) -> float:
        """Share of images whose label is among the `top_k` highest logits."""
        return self.top_pct(self.top_k)

    def top_pct(self, k: int) -> float:
        """Return the share of images whose label is among the k highest logits."""
        rows = np.arange(len(self))
        own = self.logits[rows, self.labels][:, None]
        before = np.arange(len(self.classes)) < self.labels[:, None]
        # Equal logits rank in class order, as they do in `predictions`.
        rank = ((self.logits > own) | ((self.logits == own) & before)).sum(axis=1)
        return 100.0 * int((rank < k).sum()) / len(self)

    @property
    def confusion(self) -> Integers:
        """How many images of class i (row) were given label j (column), (C, C)."""
        size = len(self.classes)
        flat = np.bincount(self.labels * size + self.predictions, minlength=size * size)
        return flat.astype(np.int64).reshape(size, size)

    @property
    def per_class(self) -> list[ClassScore]:
        """Precision, recall and F1 of each class."""
        table = self.confusion
        hits, given, support = table.diagonal(), table.sum(axis=0), table.sum(axis=1)
        return [
            ClassScore(
                label=label,
                precision_pct=_share_pct(hits[i], given[i]),
                recall_pct=_share_pct(hits[i], support[i]),
                f1_pct=_share_pct(2 * hits[i], given[i] + support[i]),
                support=int(support[i]),
            )
            for i, label in enumerate(self.classes)
        ]

    def probabilities(self, temperature: float | None = None) -> npt.NDArray[np.float64]:
        """Compute softmax(logits / temperature), (N, C)."""
        return softmax(self.logits, self.temperature if temperature is None else temperature)

    def nll(self, temperature: float | None = None) -> float:
        """Return the mean of -log p(label), in nats."""
        scaled = self._scaled(temperature)
        own = scaled[np.arange(len(self)), self.labels]
        return float((log_sum_exp(scaled) - own).mean())

    def reliability(self, temperature: float | None = None) -> list[ReliabilityBin]:
        """Return confidence against accuracy in 15 bins of equal width."""
        confidence = self.probabilities(temperature).max(axis=1)
        # Bins are (low, high], as in Guo et al.: a confidence of exactly 1 is in the last one.
        number = np.clip(np.ceil(confidence * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
        counts = np.bincount(number, minlength=NUM_BINS)
        confidences = np.bincount(number, weights=confidence, minlength=NUM_BINS)
        hits = np.bincount(number, weights=self.correct, minlength=NUM_BINS)
        return [
            ReliabilityBin(
                low=i / NUM_BINS,
                high=(i + 1) / NUM_BINS,
                count=int(counts[i]),
                confidence=float(confidences[i] / max(counts[i], 1)),
                accuracy=float(hits[i] / max(counts[i], 1)),
            )
            for i in range(NUM_BINS)
        ]

    @property
    def ece_pct(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy over the bins.

        Source:
            Guo et al. 2017 (arXiv 1706.04599), equation 3.
        """
        bins = self.reliability()
        return 100.0 * sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / len(self)

    def to_json(self) -> dict[str, Any]:
        """Return what `eval --json` prints."""
        return {
            "accuracy_pct": self.accuracy_pct,
            "top5_pct": self.top5_pct,
            "top_k": self.top_k,
            "ci95_pct": list(self.ci95_pct),
            "num_images": len(self),
            "per_class": [dataclasses.asdict(score) for score in self.per_class],
            "ece_pct": self.ece_pct,
            "temperature": self.temperature,
            **{one.name: finite_or_none(one(self)) for one in metrics_in("eval", by_name=False)},
        }

    def _scaled(self, temperature: float | None) -> npt.NDArray[np.float64]:
        return self.logits.astype(np.float64) / (
            self.temperature if temperature is None else temperature
        )


def _share_pct(part: int, whole: int) -> float | None:
    return 100.0 * int(part) / int(whole) if whole else None


def fit_temperature(logits: Floats, labels: Integers) -> float:
    """Find the T that minimises the mean of -log softmax(logits / T) at the targets.

    The loss is convex in 1/T, so its derivative changes sign once and bisection finds where.
    The targets are not quite one-hot but softened by 1 / (N + 2) as in Platt's method, without
    which a small set that is all right would ask for T = 0. Accuracy never changes.

    Args:
        logits: (N, C), of images that the network was not trained on.
        labels: (N,).

    Returns:
        T, between 0.05 and 20.

    Source:
        Guo et al. 2017 (arXiv 1706.04599), section 4.2; Platt 1999, section 2.2.
    """
    values = logits.astype(np.float64)
    count, num_classes = values.shape
    if num_classes < 2:
        return 1.0
    soft = 1.0 / (count + 2)
    own = values[np.arange(count), labels]
    others = (values.sum(axis=1) - own) / (num_classes - 1)
    target = ((1 - soft) * own + soft * others).sum()

    def derivative(inverse: float) -> float:
        return float((softmax(values, 1 / inverse) * values).sum() - target)

    # In log(1/T), so that halving and doubling T are steps of the same size.
    low, high = math.log(1 / _HOTTEST), math.log(1 / _COLDEST)
    if derivative(math.exp(low)) >= 0:
        return _HOTTEST
    if derivative(math.exp(high)) <= 0:
        return _COLDEST
    while high - low > 1e-6:
        middle = (low + high) / 2
        if derivative(math.exp(middle)) < 0:
            low = middle
        else:
            high = middle
    return math.exp(-(low + high) / 2)
