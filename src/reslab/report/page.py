"""The offline HTML page of a run: everything inline, nothing loaded from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reslab import durable
from reslab.charts.figure import figure_of
from reslab.data.dataset import Dataset
from reslab.display import wording
from reslab.display.wording import SPLIT_WORDS
from reslab.errors import DataError, ReslabError
from reslab.evaluate.evaluation import Evaluation
from reslab.pages.standalone import standalone
from reslab.report import setup
from reslab.report.augmented import early_sentence
from reslab.report.calibration import calibration
from reslab.report.confusion import confusion
from reslab.report.curves import curves, summary
from reslab.report.headline import headline
from reslab.report.images import PagePictures, pictures
from reslab.runs.run import Run

FILE_NAME = "report.html"
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, OSError)


def write_report(run_dir: Path, dataset: Dataset | None = None, out: Path | None = None) -> Path:
    """Write the page of a run, finished or not, and return where it is.

    Args:
        run_dir: the run directory.
        dataset: the images of the run, with its splits; None to open them again as the run
            did. Where they have gone, the page says so in place of the pictures.
        out: where to write; None for `report.html` in the run directory.

    Raises:
        DataError: not a run directory, or its files hold what a page cannot be made of.
        MachineError: the page cannot be written.
    """
    path = out or run_dir / FILE_NAME
    try:
        run = Run.open(run_dir)
        text = render(run, pictures(run, dataset))
    except ReslabError:
        raise
    except _UNREADABLE as error:
        # A page that cannot be drawn must not take a finished training down with it.
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"no report can be made of {run_dir} ({reason})") from error
    durable.write_file(path, text.encode())
    return path


def render(run: Run, images: PagePictures) -> str:
    """Return the page as text."""
    return standalone("report.html", **_content(run, images))


def _content(run: Run, images: PagePictures) -> dict[str, Any]:
    split = run.final_split
    evaluation = run.splits.get(split)
    recipe = run.section("recipe")
    value: dict[str, Any] = {
        "run": run,
        "headline": headline(run),
        "facts": setup.facts(run),
        "choices": _objects(run.config.get("choices")),
        "training": setup.training_sentence(recipe, run.section("request").get("time_s")),
        "recipe": wording.flat(recipe),
        "preprocess": wording.flat(run.section("preprocess")),
        "environment": wording.flat(run.section("environment")),
        "spec": wording.flat(run.section("spec")),
        "commands": setup.commands(run),
        "curves": [figure_of(plot.title, plot) for plot in curves(run)],
        "training_summary": summary(run),
        "findings": _objects(run.check.get("findings")),
        "images": images,
        "early": early_sentence(recipe),
        "split": SPLIT_WORDS[split],
        "evaluation": evaluation,
        "confusion": None,
        "calibration": None,
        "rail_low": 0,
        "long_names": any(len(name) > 7 for name in run.classes),
    }
    if evaluation is not None:
        value["rail_low"] = _rail_low(evaluation)
        value["confusion"] = confusion(evaluation.confusion, evaluation.classes)
        value["calibration"] = calibration(run, evaluation, split)
    return value


def _rail_low(evaluation: Evaluation) -> int:
    """Choose where the rails of the class table begin, so that differences can be seen."""
    scores = evaluation.per_class
    values = [v for s in scores for v in (s.precision_pct, s.recall_pct, s.f1_pct) if v is not None]
    return max(low for low in (0, 50, 80, 90, 95) if low <= min(values))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
