"""Evaluations as rows of text, for tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from reslab.evaluate.compare import Paired
from reslab.evaluate.evaluation import Evaluation
from reslab.evaluate.metrics import metrics_in

Columns = tuple[tuple[str, str], ...]
CLASS_COLUMNS: Columns = (
    ("class", "left"),
    ("precision %", "right"),
    ("recall %", "right"),
    ("F1 %", "right"),
    ("images", "right"),
)
CONFUSION_COLUMNS: Columns = (
    ("is", "left"),
    ("was called", "left"),
    ("images", "right"),
    ("of the class %", "right"),
)


def short_names(paths: Sequence[str]) -> list[str]:
    """Name models by the last part of their path that tells them apart."""
    parts = [[part for part in Path(path).absolute().parts if part != "model"] for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return list(paths)


def score_columns(evaluation: Evaluation) -> Columns:
    """Return the headings of `score_row`; "top-5" says how many guesses it really is."""
    columns: list[tuple[str, str]] = [("model", "left")]
    for metric in metrics_in("eval"):
        top = metric.name == "top5_pct"
        columns.append((f"top-{evaluation.top_k} %" if top else metric.heading, "right"))
        if metric.name == "accuracy_pct":
            columns.append(("95% interval", "right"))
    return tuple(columns)


def score_row(name: str, evaluation: Evaluation) -> tuple[str, ...]:
    """Return one model's numbers."""
    cells = [name]
    for metric in metrics_in("eval"):
        cells.append(f"{metric(evaluation):.2f}")
        if metric.name == "accuracy_pct":
            low, high = evaluation.ci95_pct
            cells.append(f"{low:.2f} to {high:.2f}")
    return tuple(cells)


def class_rows(evaluation: Evaluation, limit: int) -> tuple[Sequence[Sequence[str]], int]:
    """Return the rows of the classes, and how many did not fit in.

    With more classes than the limit, those with the lowest F1 are shown, worst first. A class
    that no image has, and none was given, takes no row and is not counted.
    """
    scores = [score for score in evaluation.per_class if score.support or score.f1_pct is not None]
    shown = scores
    if len(scores) > limit:
        shown = sorted(scores, key=lambda score: score.f1_pct or 0.0)[:limit]
    rows = [
        (s.label, _pct(s.precision_pct), _pct(s.recall_pct), _pct(s.f1_pct), f"{s.support:,}")
        for s in shown
    ]
    return rows, len(scores) - len(rows)


def confusion_rows(evaluation: Evaluation, limit: int) -> list[tuple[str, ...]]:
    """Return the most frequent confusions, the commonest first."""
    table = evaluation.confusion
    support = table.sum(axis=1)
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    commonest = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    places = [divmod(int(place), len(table)) for place in commonest]
    return [
        (
            evaluation.classes[i],
            evaluation.classes[j],
            f"{wrong[i, j]:,}",
            f"{100 * wrong[i, j] / support[i]:.1f}",
        )
        for i, j in places
        if wrong[i, j]
    ]


def paired_lines(first: str, second: str, paired: Paired) -> list[str]:
    """Say in words how two models differ."""
    low, high = paired.ci95_pct
    sure = "beyond chance" if paired.p_mid < 0.05 else "not beyond chance"
    return [
        f"{second} minus {first}: {paired.difference_pct:+.2f} points "
        f"(95%: {low:+.2f} to {high:+.2f})",
        f"only {first} right: {paired.only_first:,}; only {second} right: {paired.only_second:,}",
        f"McNemar's mid-p = {paired.p_mid:.3g}: {sure} at the 5% level",
    ]


def image_csv(evaluations: Mapping[str, Evaluation], names: Mapping[int, str]) -> Iterator[str]:
    """Yield a CSV's lines: what each model said of each image.

    Args:
        evaluations: by model.
        names: of the images of the data set, by sample number.
    """
    yield _csv_line(["model", "image", "label", "predicted", "prob", "correct"])
    for model, evaluation in evaluations.items():
        given, classes = evaluation.predictions, evaluation.classes
        probabilities = evaluation.probabilities().max(axis=1)
        correct = evaluation.correct
        for row, sample in enumerate(evaluation.samples.tolist()):
            label, predicted = classes[evaluation.labels[row]], classes[given[row]]
            prob, right = f"{probabilities[row]:.6f}", int(correct[row])
            yield _csv_line([model, names[sample], label, predicted, prob, right])


def _csv_line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _pct(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
