"""The rows of tables."""

from __future__ import annotations

import numpy as np
import pytest

from reslab.evaluate.compare import compare
from reslab.evaluate.evaluation import Evaluation
from reslab.evaluate.summary import (
    class_rows,
    confusion_rows,
    paired_lines,
    score_columns,
    score_row,
    short_names,
)


def evaluation(labels: list[int], given: list[int], classes: int) -> Evaluation:
    logits = np.eye(classes, dtype=np.float32)[given]
    names = tuple(f"c{i}" for i in range(classes))
    return Evaluation(logits, np.array(labels), np.arange(len(labels)), names)


def test_scores() -> None:
    found = evaluation([0, 1, 2, 2], [0, 1, 2, 0], 3)
    heads = [name for name, _ in score_columns(found)]
    assert heads == ["model", "accuracy %", "95% interval", "top-3 %", "ECE %"]
    row = score_row("mine", found)
    assert row[:4] == ("mine", "75.00", "30.06 to 95.44", "100.00")


def test_few_classes_are_all_shown_in_their_order() -> None:
    rows, left_out = class_rows(evaluation([0, 1, 1], [0, 0, 1], 2), limit=2)
    assert left_out == 0
    assert rows == [("c0", "50.0", "100.0", "66.7", "1"), ("c1", "100.0", "50.0", "66.7", "2")]


def test_of_many_classes_the_worst_are_shown() -> None:
    labels = list(range(30)) * 2
    given = labels.copy()
    given[7], given[30 + 7], given[3] = 8, 9, 4
    rows, left_out = class_rows(evaluation(labels, given, 30), limit=4)
    assert [row[0] for row in rows] == ["c7", "c3", "c4", "c8"]
    assert rows[0][1:] == ("-", "0.0", "0.0", "2")
    assert left_out == 26


def test_classes_that_never_occur_take_no_row() -> None:
    rows, left_out = class_rows(evaluation([0, 0], [0, 1], 4), limit=9)
    assert [row[0] for row in rows] == ["c0", "c1"]
    assert left_out == 0


def test_confusions_come_commonest_first() -> None:
    found = evaluation([0, 0, 0, 1, 1, 2], [1, 1, 0, 2, 1, 2], 3)
    assert confusion_rows(found, 5) == [("c0", "c1", "2", "66.7"), ("c1", "c2", "1", "50.0")]
    assert confusion_rows(found, 1) == [("c0", "c1", "2", "66.7")]
    assert confusion_rows(evaluation([0, 1], [0, 1], 2), 5) == []


def test_a_comparison_in_words() -> None:
    one = evaluation([0] * 40, [0] * 20 + [1] * 20, 2)
    two = evaluation([0] * 40, [0] * 38 + [1] * 2, 2)
    lines = paired_lines("old", "new", compare(one, two))
    assert lines[0].startswith("new minus old: +45.00 points (95%: +")
    assert lines[1] == "only old right: 0; only new right: 18"
    assert lines[2].endswith("beyond chance at the 5% level")
    assert paired_lines("a", "b", compare(one, one))[2].endswith(
        ": not beyond chance at the 5% level"
    )


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/photos-1"], ["photos-1"]),
        (["runs/a", "runs/b/model"], ["a", "b"]),
        (["x/run/model", "y/run"], ["x/run", "y/run"]),
    ],
)
def test_models_are_called_by_what_tells_them_apart(paths: list[str], names: list[str]) -> None:
    assert short_names(paths) == names
