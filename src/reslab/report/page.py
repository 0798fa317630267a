"""The offline HTML page of a run: everything inline, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from reslab import durable
from reslab.data.dataset import Dataset
from reslab.data.names import shown
from reslab.display import wording
from reslab.errors import DataError, ReslabError
from reslab.evaluate.metrics import Evaluation
from reslab.report import setup
from reslab.report.augmented import early_sentence
from reslab.report.calibration import calibration
from reslab.report.confusion import confusion
from reslab.report.curves import curves, summary
from reslab.report.headline import headline
from reslab.report.images import Images, pictures
from reslab.report.plots import draw
from reslab.runs.run import SPLIT_WORDS, Run

FILE_NAME = "report.html"
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, OSError)
_LOADER = jinja2.PackageLoader("reslab.report")


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


def render(run: Run, images: Images) -> str:
    """Return the page as text."""
    environment = templates()
    return environment.get_template("page.html").render(**_content(run, images), **frame())


def templates() -> jinja2.Environment:
    """Return what renders the pages: strict, escaping, with numbers written as everywhere."""
    environment = jinja2.Environment(
        loader=_LOADER,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.globals["zip"] = zip
    environment.filters |= {
        "number": wording.number,
        "precise": wording.precise,
        "percent": wording.percent,
        "large": wording.large,
        "plural": wording.plural,
        "shortened": wording.shortened,
    }
    return environment


def frame() -> dict[str, Any]:
    """Return what every page carries: its style, its script and what it forbids itself."""
    script = source("page.js")
    # The page forbids itself every request and every script but its own.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "style": Markup(source("page.css") + source("plots.css")),
        "script": Markup(script),
        "policy": (
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        ),
    }


def _content(run: Run, images: Images) -> dict[str, Any]:
    split = run.final_split
    evaluation = run.splits.get(split)
    plots = curves(run)
    recipe = run.section("recipe")
    value: dict[str, Any] = {
        "run": run,
        "headline": headline(run),
        "facts": setup.facts(run),
        "choices": _objects(run.config.get("choices")),
        "training": setup.training_sentence(recipe, run.section("request").get("time_s")),
        "recipe": setup.flat(recipe),
        "preprocess": setup.flat(run.section("preprocess")),
        "environment": setup.flat(run.section("environment")),
        "spec": setup.flat(run.section("spec")),
        "commands": setup.commands(run),
        "plots": [(plot, draw(plot)) for plot in plots],
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


def _finalize(value: Any) -> Any:
    """Let nothing onto the page that UTF-8 cannot hold, that hides, or that breaks a line."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value)
    return value


def source(name: str) -> str:
    """Return one of the files in templates/ as it is."""
    text, _, _ = _LOADER.get_source(jinja2.Environment(), name)
    return text
