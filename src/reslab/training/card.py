"""A finished run as a card for notebooks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reslab.display import card, wording
from reslab.display.names import shown
from reslab.evaluate.card import accuracy_part, classes_parts, matrix_part
from reslab.runs.run import Run

if TYPE_CHECKING:
    from reslab.training.finish import Result

SPLITS = {"train": "training", "val": "validation", "test": "test"}
# What held-out images say by epoch, the best first; the training error is drawn thin beside it.
HELD_OUT = (
    ("test_error_pct", "test"),
    ("ema_val_error_pct", "validation"),
    ("val_error_pct", "validation"),
)
TOPS = (1, 2, 5, 10, 20, 30, 40, 50, 60, 80, 100)


def result_card(result: Result) -> str:
    """Return accuracy, interval, curve, confusion matrix and worst classes of a run, as HTML."""
    evaluation = result.test
    return card.card(
        card.title(result.network, f"on {shown(Path(result.data).name or result.data)}"),
        accuracy_part(evaluation, f"{SPLITS[result.split]} accuracy"),
        card.facts(
            f"{len(evaluation.classes):,} classes",
            f"trained in {wording.duration(result.wall_s)}",
            f"{wording.number(result.train_images_per_s)} images/s",
            shown(result.run_dir),
        ),
        card.side_by_side(
            card.part("Error by epoch, %", curve_of(result.run_dir)), matrix_part(evaluation)
        ),
        card.side_by_side(*classes_parts(evaluation)),
    )


def curve_of(run_dir: Path) -> str:
    """Draw training and held-out error by epoch; nothing where the run's table is gone."""
    run = Run(run_dir)
    wanted = [("train_error_pct", "training")]
    wanted += [one for one in HELD_OUT if np.isfinite(run.column(one[0])).any()][:1]
    epochs = run.column("epoch").tolist()
    lines = [(label, epochs, run.column(name).tolist()) for name, label in wanted]
    lines = [line for line in lines if any(map(math.isfinite, line[2]))]
    if not lines or len(epochs) < 2:
        return ""
    late = [v for _, _, ys in lines for v in ys[len(ys) // 3 :] if math.isfinite(v)]
    highest = 1.2 * max(late, default=100.0)
    top = next((float(top) for top in TOPS if top >= highest), 100.0)
    return card.curve(lines, y_label="error, percent,", x_label="epoch", top=top)
