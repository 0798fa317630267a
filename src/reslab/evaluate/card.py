"""An evaluation as a card for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reslab.display import card, wording
from reslab.evaluate.metrics import metrics_in
from reslab.evaluate.summary import confusion_rows

if TYPE_CHECKING:
    from reslab.evaluate.compare import Paired
    from reslab.evaluate.evaluation import ClassScore, Evaluation

WORST = 5


def evaluation_card(evaluation: Evaluation) -> str:
    """Return accuracy with its interval, the confusion matrix and the worst classes, as HTML."""
    return card.card(
        accuracy_part(evaluation, "accuracy"),
        numbers_part(evaluation),
        card.side_by_side(matrix_part(evaluation), "".join(classes_parts(evaluation))),
    )


def accuracy_part(evaluation: Evaluation, meaning: str) -> str:
    """Write the accuracy large, with its interval in words and drawn."""
    count, (low, high) = len(evaluation), evaluation.ci95_pct
    right = int(evaluation.correct.sum())
    return card.headline(
        wording.percent(evaluation.accuracy_pct, count),
        "%",
        meaning,
        f"{right:,} of {count:,} images right; 95% interval {wording.percent(low, count)} to "
        f"{wording.percent(high, count)}%",
        card.interval(
            evaluation.accuracy_pct, low, high, card.around([evaluation.ci95_pct]), width=160
        ),
    )


def numbers_part(evaluation: Evaluation) -> str:
    """Write what else is known in one line."""
    classes = len(evaluation.classes)
    top = f"top-{evaluation.top_k} {wording.percent(evaluation.top5_pct, len(evaluation))}%"
    return card.facts(
        f"{classes:,} classes",
        top if classes > evaluation.top_k else "",
        f"calibration error {evaluation.ece_pct:.1f}%",
        f"temperature {evaluation.temperature:.2f}" if evaluation.temperature != 1 else "",
        *(
            f"{metric.words} {metric(evaluation):.2f}{metric.unit if metric.unit == '%' else ''}"
            for metric in metrics_in("eval", by_name=False)
        ),
    )


def matrix_part(evaluation: Evaluation) -> str:
    """Draw the confusion matrix; the commonest confusions where it would be too large."""
    small = len(evaluation.classes) <= card.MATRIX_UP_TO
    drawn = card.matrix(evaluation.confusion.tolist(), evaluation.classes) if small else ""
    return card.part("Confusion: row true, column given", drawn)


def classes_parts(evaluation: Evaluation) -> list[str]:
    """List the classes that fare worst, and the commonest confusions."""
    present = [score for score in evaluation.per_class if score.support]
    worst = sorted(present, key=_recall)[:WORST]
    columns = [("class", "left"), ("recall", "left"), ("%", "right"), ("images", "right")]
    rows = [
        [
            card.text(wording.shortened(score.label, 28)),
            card.bar(_recall(score) / 100, width=72),
            f"{_recall(score):.1f}",
            f"{score.support:,}",
        ]
        for score in worst
    ]
    heading = "Worst classes" if len(present) > WORST else "Classes, worst first"
    parts = [card.part(heading, card.table(columns, rows, margin="0 0 14px"))]
    confusions = confusion_rows(evaluation, 3)
    if confusions:
        columns = [("is", "left"), ("was called", "left"), ("images", "right")]
        cells = [[card.text(wording.shortened(cell, 28)) for cell in row[:3]] for row in confusions]
        parts.append(card.part("Most frequent confusions", card.table(columns, cells)))
    return parts


def _recall(score: ClassScore) -> float:
    return score.recall_pct or 0.0


def paired_card(paired: Paired) -> str:
    """Return the difference of two models with its interval and test, as HTML."""
    low, high = paired.ci95_pct
    sure = "beyond chance" if paired.p_mid < 0.05 else "not beyond chance"
    return card.card(
        card.headline(
            f"{paired.difference_pct:+.2f}".replace("-", "−"),
            "points",
            f"second minus first: {sure} at the 5% level",
            f"95% interval {low:+.2f} to {high:+.2f} on {paired.num_images:,} images",
        ),
        card.facts(
            f"only the first right: {paired.only_first:,}",
            f"only the second right: {paired.only_second:,}",
            f"McNemar's mid-p {paired.p_mid:.3g}",
        ),
    )
